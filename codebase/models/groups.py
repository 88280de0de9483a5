"""How well groups that were found without labels are the labels."""

import torch


def matched_accuracy(groups: torch.Tensor, y: torch.Tensor, n_groups: int) -> torch.Tensor:
    """Whether each image is right once every group has a label of its own, (N,) of 0 and 1.

    Of all ways to give different groups different labels, the one by which most are right
    (Kuhn 1955, the Hungarian method); a group that is left without a label is always wrong.

    Args:
        groups, y: the group, 0 … n_groups − 1, and the label of each image, (N,) each.
        n_groups: how many groups there are.
    """
    from scipy.optimize import linear_sum_assignment

    groups, y = groups.cpu(), y.cpu()
    labels = int(y.max()) + 1
    table = torch.bincount(groups * labels + y, minlength=n_groups * labels)
    rows, columns = linear_sum_assignment(table.view(n_groups, labels).numpy(), maximize=True)
    label_of = torch.full((n_groups,), -1)
    label_of[torch.from_numpy(rows)] = torch.from_numpy(columns)
    return (label_of[groups] == y).double()
