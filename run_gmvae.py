"""Problem 2: train, evaluate and sample a VAE whose prior is a learned mixture of Gaussians."""

from codebase.runs.flags import evaluation, number, parser, script


def main():
    p, model_flags = parser(__doc__, iter_max=20_000)
    model_flags.add_argument(
        "--z", type=number(int, 1, 10_000), default=10, help="latent dimensions"
    )
    model_flags.add_argument(
        "--k", type=number(int, 1, 100_000), default=500, help="mixture components"
    )
    model_flags.add_argument(
        "--beta", type=number(float, 0), default=1.0, help="weight of kl in the loss, rec + β·kl"
    )
    evaluation(p)
    args = p.parse_args()

    from codebase.models.gmvae import GMVAE
    from codebase.runs.replicates import Task, replicate
    from codebase.tasks.likelihood import report_bounds, watch_bounds

    beta = {"beta": args.beta} if args.beta != 1 else {}  # the assignment's solutions know none

    def build(run):
        return GMVAE(z_dim=args.z, k=args.k, name=run.name, **beta)

    def report(run, model):
        report_bounds(run, model, "gmvae")

    task = Task(build, watch_bounds, report)
    replicate(task, p, args, f"model=gmvae_z={args.z:02d}_k={args.k:03d}", ["z", "k"], "gmvae")


if __name__ == "__main__":
    script(main)
