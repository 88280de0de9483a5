"""Problem 1: train, evaluate and sample a VAE on binarized MNIST (a β-VAE with --beta)."""

from codebase.runs.flags import evaluation, number, parser, script


def main():
    p, model_flags = parser(__doc__, iter_max=20_000)
    model_flags.add_argument(
        "--z", type=number(int, 1, 10_000), default=10, help="latent dimensions"
    )
    model_flags.add_argument(
        "--beta", type=number(float, 0), default=1.0, help="weight of kl in the loss, rec + β·kl"
    )
    evaluation(p)
    args = p.parse_args()

    from codebase.models.vae import VAE
    from codebase.runs.replicates import Task, replicate
    from codebase.tasks.likelihood import report_bounds, watch_bounds

    beta = {"beta": args.beta} if args.beta != 1 else {}  # the assignment's solutions know none

    def build(run):
        return VAE(z_dim=args.z, name=run.name, **beta)

    def report(run, model):
        report_bounds(run, model, "vae")

    task = Task(build, watch_bounds, report)
    replicate(task, p, args, f"model=vae_z={args.z:02d}", ["z"], "vae")


if __name__ == "__main__":
    script(main)
