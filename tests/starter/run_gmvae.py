"""Written for the course's starter code: the calls and arguments its own run_gmvae.py makes."""

import argparse

import torch
import tqdm

from codebase import utils as ut
from codebase.models.gmvae import GMVAE
from codebase.train import train

parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
parser.add_argument("--z", type=int, default=10)
parser.add_argument("--k", type=int, default=500)
parser.add_argument("--iter_max", type=int, default=20000)
parser.add_argument("--iter_save", type=int, default=10000)
parser.add_argument("--run", type=int, default=0)
parser.add_argument("--train", type=int, default=1)
args = parser.parse_args()
model_name = f"model=gmvae_z={args.z:02d}_k={args.k:03d}_run={args.run:04d}"

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
train_loader, labeled_subset, _ = ut.get_mnist_data(device, use_test_subset=True)
gmvae = GMVAE(z_dim=args.z, k=args.k, name=model_name).to(device)

if args.train:
    writer = ut.prepare_writer(model_name, overwrite_existing=True)
    train(
        model=gmvae,
        train_loader=train_loader,
        labeled_subset=labeled_subset,
        device=device,
        tqdm=tqdm.tqdm,
        writer=writer,
        iter_max=args.iter_max,
        iter_save=args.iter_save,
    )
    ut.evaluate_lower_bound(gmvae, labeled_subset, run_iwae=args.train == 2)
else:
    ut.load_model_by_name(gmvae, global_step=args.iter_max, device=device)
    ut.evaluate_lower_bound(gmvae, labeled_subset, run_iwae=True)
