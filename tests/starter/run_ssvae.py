"""Written for the course's starter code: the calls and arguments its own run_ssvae.py makes."""

import argparse

import torch
import tqdm

from codebase import utils as ut
from codebase.models.ssvae import SSVAE
from codebase.train import train

parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
parser.add_argument("--gw", type=int, default=1)
parser.add_argument("--cw", type=int, default=100)
parser.add_argument("--iter_max", type=int, default=30000)
parser.add_argument("--iter_save", type=int, default=10000)
parser.add_argument("--run", type=int, default=0)
parser.add_argument("--train", type=int, default=1)
args = parser.parse_args()
model_name = f"model=ssvae_gw={args.gw:03d}_cw={args.cw:03d}_run={args.run:04d}"

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
train_loader, labeled_subset, test_set = ut.get_mnist_data(device, use_test_subset=False)
ssvae = SSVAE(gen_weight=args.gw, class_weight=args.cw, name=model_name).to(device)

if args.train:
    writer = ut.prepare_writer(model_name, overwrite_existing=True)
    train(
        model=ssvae,
        train_loader=train_loader,
        labeled_subset=labeled_subset,
        device=device,
        y_status="semisup",
        tqdm=tqdm.tqdm,
        writer=writer,
        iter_max=args.iter_max,
        iter_save=args.iter_save,
    )
else:
    ut.load_model_by_name(ssvae, args.iter_max)
ut.evaluate_classifier(ssvae, test_set)
