"""What the benchmark finds out, stage by stage; each returns plain numbers for table and JSON."""

from benchmarks import measure, startup
from benchmarks.measure import alternate, task

MODELS = "vae", "gmvae", "ssvae_gw1", "ssvae_gw0"
GROWTH_STEPS = 250, 500, 1_000, 2_000, 4_000
GROWTH_BATCHES = 10, 25, 50, 97, 200, 400, 800, 1_600
GROWTH_K = 250, 500, 1_000, 5_000
RETREAT = 100  # iterations within which a run notices that it lost a core


def checks(setting, models, quick):
    """Whether both sides compute and reach the same loss, by model."""
    steps, seeds = (30, 2) if quick else (300, 3)
    specs = {m: setting.spec(task="check", model=m, steps=steps, seeds=seeds) for m in models}
    return {model: task(spec) for model, spec in specs.items()}


def machine(setting):
    """What only torch in a worker can say of the machine."""
    return task(setting.spec(task="machine"))


def speeds(setting, models, bf16, compiled=False):
    """Both sides and the machine's limits in turns, by model."""
    return {model: _speeds(model, setting, bf16, compiled) for model in models}


def _speeds(model, setting, bf16, compiled):
    """Both sides and the machine's limits in turns, for one model."""
    limits = ["fp32", *(["bf16"] if bf16 else [])]
    specs = {side: {"side": side} for side in ("textbook", "project", *limits)}
    if bf16:  # which "auto" then is
        specs["project in fp32"] = {"side": "project", "precision": "fp32"}
    if compiled:
        specs["compiled in fp32"] = {"side": "project", "precision": "fp32", "fuse": True}
        if bf16:
            specs["compiled in bf16"] = {"side": "project", "precision": "bf16", "fuse": True}
    specs = {side: setting.spec(model=model, **spec) for side, spec in specs.items()}
    rates = alternate(specs, setting)
    batch = setting.spec()["batch"]
    found = {
        "iterations_per_second": {side: rates.median(side) for side in specs},
        "images_per_second": rates.median("project") * batch,
        "ratio": rates.ratio("project", "textbook"),
        "ratio_fp32": rates.ratio("project in fp32" if bf16 else "project", "textbook"),
        "peak_memory": rates.peak_memory,
        "threads": rates.threads,
        "rounds": rates.rates,
    }
    for limit in limits:
        found[f"share_of_{limit}_limit"] = rates.ratio("project", limit)
        if compiled:
            fused = f"compiled in {limit}"
            found[f"ratio_compiled_{limit}"] = rates.ratio(fused, "textbook")
            found[f"share_compiled_{limit}"] = rates.ratio(fused, limit)
    return found


def comparisons(setting):
    """What the project's own variants cost each other, in turns."""
    project = {name: setting.spec(side="project", model=name) for name in ("vae", "gmvae")}
    unpruned = {name: setting.spec(side=name, model="ssvae_gw1") for name in ("split", "copies")}
    mixture = alternate(project, setting)
    labels = alternate(unpruned, setting)
    return {
        "GMVAE (k=500) step / VAE step": mixture.ratio("vae", "gmvae"),
        "SSVAE, split first layers / enumerated copies, nothing pruned, speed": labels.ratio(
            "split", "copies"
        ),
    }


def beside_a_busy_process(setting):
    """Shares of the VAE's own speed that are left beside a process that keeps one core busy.

    One training was under way when the other process came, one starts beside it. A run that has
    retreated to one thread stays there, so each round starts its own.
    """
    spec = setting.spec(side="project", model="vae")
    rates = measure.Rates({"alone": [], "disturbed": [], "late": []}, {}, {})
    for _ in range(setting.rounds):
        with measure.workers({"vae": spec}) as started:
            vae = started["vae"]
            vae.run(seconds=setting.seconds)
            rates.rates["alone"].append(_rate(vae, setting))
            with measure.busy_process():
                vae.run(steps=RETREAT)
                rates.rates["disturbed"].append(_rate(vae, setting))
        with measure.busy_process(), measure.workers({"vae": spec}) as beside:
            rates.rates["late"].append(_rate(beside["vae"], setting))
    return {
        "started later": rates.ratio("disturbed", "alone"),
        "there before": rates.ratio("late", "alone"),
    }


def _rate(worker, setting):
    answer = worker.run(seconds=setting.seconds)
    return answer["steps"] / answer["seconds"]


def growth(setting):
    """Seconds by number of iterations; milliseconds of a step by batch size and components."""
    vae = setting.spec(side="project", model="vae")
    with measure.workers({"vae": vae}) as started:
        started["vae"].run(seconds=setting.seconds)
        iterations = [started["vae"].run(steps=n) for n in GROWTH_STEPS]
    batches = alternate({n: vae | {"batch": n} for n in GROWTH_BATCHES}, setting)
    mixtures = {k: setting.spec(side="project", model="gmvae", k=k) for k in GROWTH_K}
    components = alternate({"vae": vae} | mixtures, setting)
    return {
        "iterations": [{"steps": i["steps"], "seconds": i["seconds"]} for i in iterations],
        "batch": [{"batch": n, "ms": 1e3 / batches.median(n)} for n in GROWTH_BATCHES],
        "k": [
            {"k": k, "ms": 1e3 / components.median(k), "vae_steps": components.ratio("vae", k)}
            for k in GROWTH_K
        ],
    }


def evaluation(setting, quick):
    """Memory and time of the IWAE bound with k=500."""
    return task(setting.spec(task="memory", iw=100 if quick else 1_000))


def waiting(setting, whole):
    """Seconds until --help answers and until the first look at the training; of a whole run."""
    found = {
        "help_seconds": startup.seconds_of_help(),
        "first_look_seconds": startup.seconds_to_first_look(setting),
    }
    if whole:
        found["whole_run_seconds"] = startup.seconds_of_a_run(setting)
    return found


def breakdown(setting, models, quick):
    """Where the time of a step goes, by model."""
    steps = 20 if quick else 100
    specs = {m: setting.spec(task="breakdown", model=m, steps=steps) for m in models}
    return {model: task(spec) for model, spec in specs.items()}
