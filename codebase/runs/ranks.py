"""The processes that share a job: torchrun's, or those `launch` starts; here called ranks.

They share nothing but what `gathered` hands round. Outside such a job there is one rank, 0 of 1.
Imports no torch until there is something to hand round.
"""

import contextlib
import ctypes
import io
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from codebase.errors import UserError

if TYPE_CHECKING:
    from torch.distributed import Store

Mine = TypeVar("Mine")

RESTARTS = 3  # how often `launch` starts a rank again
PATIENCE = timedelta(days=30)  # one rank may have finished long before another
# What torch's launcher passes on to the ranks, as far as the platform has it.
STOPPING = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
    if hasattr(signal, name)
]


def rank() -> int:
    """This process's number, from 0."""
    return _variable("RANK", 0)


def world() -> int:
    """How many processes share the job."""
    return _variable("WORLD_SIZE", 1)


def _variable(name, least):
    """What the launcher says in the environment; the least where it is not set, or empty."""
    text = os.environ.get(name, "").strip()
    if not text.isascii() or not (text or "0").isdigit() or (text and int(text) < least):
        raise UserError(
            f"The environment variable {name} is {text!r}, expected a whole number, at least "
            f"{least}, as torchrun sets it; without torchrun, unset it."
        )
    return int(text or least)


def launched_here() -> bool:
    """Whether `launch` started this process, not torchrun."""
    return os.environ.get("TORCHELASTIC_RUN_ID", "").startswith(_JOB)


_JOB = "jobs-of-"


def gathered(mine: Mine) -> list[Mine]:
    """What every rank hands in, in the order of the ranks; waits for them all.

    Args:
        mine: this rank's part, anything that can be pickled.
    Raises:
        UserError: another rank is gone.
    """
    if world() == 1:
        return [mine]
    from torch import distributed

    everyone: list[Any] = [None] * world()
    try:
        _join()
        distributed.all_gather_object(everyone, mine)
    except (RuntimeError, ValueError) as error:  # also where torchrun's variables are incomplete
        raise UserError(
            f"Rank {rank()} cannot reach the other ranks ({str(error).splitlines()[0][:120]}). "
            "What was saved is intact; the same command goes on."
        ) from error
    return everyone


def _join():
    """Makes this process one of torch's group: gloo for the CPU, NCCL for CUDA."""
    from torch import distributed
    from torch.distributed.rendezvous import rendezvous

    if not distributed.is_initialized():
        store, *_ = next(rendezvous("env://", timeout=timedelta(minutes=5)))
        store = distributed.PrefixStore(agreed_name(store, rank(), world()), store)
        distributed.init_process_group(
            store=store, rank=rank(), world_size=world(), timeout=PATIENCE
        )


def agreed_name(store: "Store", rank: int, world: int) -> str:
    """A name that rank 0 has just made up and all ranks know.

    Torch's launcher gives its ranks one store, restart after restart. Without a new name each time
    a rank may read in it where one that is dead was to be found. So each asks with a word of its
    own, which only a rank 0 that lives can answer, and says that it knows.
    """
    word = uuid.uuid4().hex
    if rank != 0:
        store.set(f"ask/{rank}", word)
        name = store.get(f"answer/{word}").decode()
        store.set(f"known/{name}/{rank}", "")
        return name
    unaware = set(range(1, world))
    while unaware:
        for other in unaware:
            store.set(f"answer/{store.get(f'ask/{other}').decode()}", word)
        unaware = {other for other in unaware if not store.check([f"known/{word}/{other}"])}
        time.sleep(0.02)
    return word


def leave() -> None:
    """Ends this process's part in what `gathered` set up."""
    if world() > 1:
        from torch import distributed

        if distributed.is_initialized():
            distributed.destroy_process_group()


def claim_a_gpu() -> None:
    """Gives each rank of a host its own CUDA device, in turn if there are fewer than ranks."""
    import torch

    if world() > 1:
        torch.cuda.set_device(_variable("LOCAL_RANK", 0) % torch.cuda.device_count())


@contextlib.contextmanager
def in_one_piece() -> Iterator[None]:
    """What a rank prints in this block appears at its end, not between the lines of others."""
    if world() == 1:
        yield
        return
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            yield
    finally:
        say(said.getvalue())


def say(lines: str) -> None:
    """Prints whole lines at once, so that those of other ranks come before or after them."""
    sys.stdout.write(lines)
    sys.stdout.flush()


def end_with_the_launcher() -> None:
    """Has Linux kill a rank whose launcher is killed, so that none trains on unseen.

    Without effect elsewhere, and for what is no rank.
    """
    if os.environ.get("RANK", "").strip() and sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def launch(jobs: int, *flags: str) -> bool:
    """Runs this command again in `jobs` processes on this machine, by torch's own launcher.

    When one dies, torch stops the others, which save, and starts all of them again.

    Args:
        flags: put after those of this command.
    Returns:
        Whether all ended well, after RESTARTS restarts at most.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    before = {s: signal.getsignal(s) for s in STOPPING}
    options: dict[str, Any] = {}
    if hasattr(LaunchConfig, "signals_to_handle"):  # torch heeds even what nohup has it ignore
        heeded = [s.name for s, handler in before.items() if handler != signal.SIG_IGN]
        options["signals_to_handle"] = ",".join(heeded)
    try:
        with tempfile.TemporaryDirectory() as folder:
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=jobs,
                run_id=f"{_JOB}{os.getpid()}",
                rdzv_backend="c10d",
                rdzv_endpoint="localhost:0",
                local_addr="localhost",
                max_restarts=RESTARTS,
                logs_specs=DefaultLogsSpecs(log_dir=folder),
                **options,
            )
            elastic_launch(config, sys.executable)(*sys.argv, *flags)
    except ChildFailedError:  # it has said which one
        return False
    except SignalException as stopped:
        if stopped.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise SystemExit(128 + stopped.sigval) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return True
