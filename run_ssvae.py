"""Problem 3: train a semi-supervised VAE on 100 labels and evaluate its classifier."""

from codebase.runs.flags import number, parser, script, switch, weight


def main():
    p, model_flags = parser(__doc__, iter_max=30_000)
    add = model_flags.add_argument
    add("--gw", "-gw", type=number(float, 0), default=1.0, help="weight of −ELBO in the loss")
    add("--cw", "-cw", type=number(float, 0), default=100.0, help="weight of the cross-entropy")
    add("--labeled_elbo", type=switch, default=0, help="1: Kingma's objective, ELBO(x, y) too")
    add("--n_labels", type=number(int, 1, 60_000), default=100, help="labelled images, balanced")
    add("--label_seed", type=number(int, 0), default=0, help="draws other labelled images")
    args = p.parse_args()

    from codebase.data import subsets
    from codebase.models.ssvae import SSVAE
    from codebase.runs.replicates import Task, replicate
    from codebase.tasks.classifier import report_classifier, watch_classifier

    kingma = {"labeled_elbo": True} if args.labeled_elbo else {}  # beyond the assignment

    def build(run):
        model = SSVAE(name=run.name, gen_weight=args.gw, class_weight=args.cw, **kingma)
        # A graph or a stack needs every step's tensors to have one size.
        model.prune = run.device.type == "cpu" and args.stack != "1"
        return model

    def labelled(run):
        return subsets.labelled(run.dataset, args.n_labels, args.label_seed, run.args.seed)

    task = Task(build, watch_classifier, report_classifier, labelled)
    layout = f"model=ssvae_gw={weight(args.gw)}_cw={weight(args.cw)}"
    replicate(task, p, args, layout, ["gw", "cw"], f"ssvae_gw={args.gw:g}")


if __name__ == "__main__":
    script(main)
