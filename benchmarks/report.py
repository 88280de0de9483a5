"""Results as text."""


def aligned(rows):
    """Rows of cells as columns: the first to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("   ".join(cells).rstrip())
    return "\n".join(lines)


def ratio(r, digits=2):
    """A ratio's median and range."""
    return f"{r['median']:.{digits}f} ({r['low']:.{digits}f}–{r['high']:.{digits}f})"


def share(r):
    """A ratio's median and range as percentages."""
    return f"{r['median']:.0%} ({r['low']:.0%}–{r['high']:.0%})"


def megabytes(n):
    """Bytes as MB."""
    return "?" if n is None else f"{n / 1e6:,.0f}"


def checks(results):
    """What the check of each model found."""
    both = ["textbook", "project"]
    rows = [["same loss?", *both, "relative", "after steps", *both, "difference"]]
    for model, c in results.items():
        one, trained = c["one_loss"], c["trained"]
        means = [sum(trained[s]) / len(trained[s]) for s in both]
        rows.append(
            [
                model,
                f"{one['textbook']:.4f}",
                f"{one['project']:.4f}",
                f"{one['relative_difference']:.0e}",
                str(c["trained_steps"]),
                *(f"{mean:.2f}" for mean in means),
                f"{c['difference']:+.2f} ± {c['standard_error']:.2f}",
            ]
        )
    return aligned(rows)


def heading(facts, setting):
    """The machine and the method in a line."""
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['threads']} threads, torch "
        f"{facts['torch']}, {setting['dataset']}; medians of {setting['rounds']} rounds of "
        f"{setting['seconds']:g} s; copy {facts['copy_bytes_per_second'] / 1e9:.0f} GB/s"
    )


def speeds(results):
    """The main table."""
    limits = [f"{kind} {what}" for kind in ("fp32", "bf16") for what in ("limit it/s", "share")]
    memory = ["peak MB, textbook", "project"]
    rows = [["", "textbook it/s", "project it/s", "images/s", "ratio", "in fp32"]]
    rows[0] += [*limits, *memory]
    for model, s in results.items():
        rates, memory = s["iterations_per_second"], s["peak_memory"]
        ceilings = []
        for kind in ("fp32", "bf16"):
            known = kind in rates
            ceilings += [f"{rates[kind]:.0f}" if known else "–"]
            ceilings += [share(s[f"share_of_{kind}_limit"]) if known else "–"]
        rows.append(
            [
                model,
                f"{rates['textbook']:.1f}",
                f"{rates['project']:.1f}",
                f"{s['images_per_second']:,.0f}",
                ratio(s["ratio"]),
                ratio(s["ratio_fp32"]),
                *ceilings,
                megabytes(memory["textbook"]),
                megabytes(memory["project"]),
            ]
        )
    return f"{aligned(rows)}{_compiled(results)}"


def _compiled(results):
    """The compiled step beside textbook and limit, where it was measured."""
    kinds = [
        k for k in ("fp32", "bf16") if any(f"ratio_compiled_{k}" in s for s in results.values())
    ]
    if not kinds:
        return ""
    rows = [
        ["compiled", *(f"{k} {what}" for k in kinds for what in ("ratio", "share of its limit"))]
    ]
    for model, s in results.items():
        cells = [(ratio(s[f"ratio_compiled_{k}"]), share(s[f"share_compiled_{k}"])) for k in kinds]
        rows.append([model, *(cell for pair in cells for cell in pair)])
    return f"\n\n{aligned(rows)}"


def ratios(results):
    """What variants cost each other."""
    return "\n".join(f"{name}: {ratio(r)}" for name, r in results.items())


def evaluation(found):
    """Memory and time of the IWAE bound."""
    return (
        f"evaluating IWAE-{found['iw']:,} with k={found['k']} on 100 images: "
        f"{megabytes(found['added'])} MB more, {found['seconds']:.1f} s"
    )


def waiting(found):
    """Start-up, and a whole run."""
    lines = [
        f"run_vae.py --help: {found['help_seconds']:.2f} s",
        f"run_vae.py to its first 50 training steps: {found['first_look_seconds']:.2f} s",
    ]
    if "whole_run_seconds" in found:
        seconds = found["whole_run_seconds"]
        lines.append(f"run_vae.py at its defaults, from start to finish: {seconds:.1f} s")
    return "\n".join(lines)


def busy(results):
    """What is left of the VAE's speed."""
    lines = [f"{share(r)} when it was {when}" for when, r in results.items()]
    return "\n".join(["VAE beside a busy process, share of its undisturbed speed:", *lines])


def breakdown(results):
    """Where the time of a step goes."""
    kinds = ["matmul", "elementwise", "optimizer", "data", "rest"]
    asked = "GFLOP", "MB moved"
    rows = [["ms a step", *kinds, "profiled", "undisturbed", "operators", *asked]]
    for model, b in results.items():
        rows.append(
            [
                model,
                *(f"{b['kinds_ms'].get(kind, 0):.2f}" for kind in kinds),
                f"{b['step_ms_profiled']:.2f}",
                f"{b['step_ms']:.2f}",
                f"{b['operators_per_step']:.0f}",
                f"{b['asked']['operations'] / 1e9:.2f}",
                megabytes(b["asked"]["bytes"]),
            ]
        )
    text = aligned(rows)
    for model, b in results.items():
        top = "\n".join(f"  {ms:7.3f} ms  {n:5.1f} ×  {name}" for name, ms, n in b["top_ms"])
        text += f"\n\n{model}, operators by their own time in a step\n{top}"
    return text


def growth(results):
    """How cost grows with iterations, batch size and components."""
    parts = []
    rows = [["iterations (VAE)", "seconds", "ms each"]]
    for row in results["iterations"]:
        each = 1e3 * row["seconds"] / row["steps"]
        rows.append([str(row["steps"]), f"{row['seconds']:.2f}", f"{each:.2f}"])
    parts.append(aligned(rows))
    rows = [["batch size (VAE)", "ms a step", "µs an image"]]
    for row in results["batch"]:
        rows.append(
            [str(row["batch"]), f"{row['ms']:.2f}", f"{1e3 * row['ms'] / row['batch']:.1f}"]
        )
    parts.append(aligned(rows))
    rows = [["components (GMVAE)", "ms a step", "VAE steps", "share of the mixture"]]
    for row in results["k"]:
        step = row["vae_steps"]
        share = f"{1 - 1 / step['median']:.0%}"
        rows.append([str(row["k"]), f"{row['ms']:.2f}", ratio(step), share])
    parts.append(aligned(rows))
    return "\n\n".join(parts)
