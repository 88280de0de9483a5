"""Written for the course's starter code: the calls and arguments its own run_vae.py makes."""

import argparse
from pprint import pprint

import torch
import tqdm

from codebase import utils as ut
from codebase.models.vae import VAE
from codebase.train import train

parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
parser.add_argument("--z", type=int, default=10)
parser.add_argument("--iter_max", type=int, default=20000)
parser.add_argument("--iter_save", type=int, default=10000)
parser.add_argument("--run", type=int, default=0)
parser.add_argument("--train", type=int, default=1)
parser.add_argument("--overwrite", type=int, default=0)
args = parser.parse_args()
layout = [("model={:s}", "vae"), ("z={:02d}", args.z), ("run={:04d}", args.run)]
model_name = "_".join([t.format(v) for (t, v) in layout])
pprint(vars(args))
print("Model name:", model_name)

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
train_loader, labeled_subset, _ = ut.get_mnist_data(device, use_test_subset=True)
vae = VAE(z_dim=args.z, name=model_name).to(device)

if args.train:
    writer = ut.prepare_writer(model_name, overwrite_existing=args.overwrite)
    train(
        model=vae,
        train_loader=train_loader,
        labeled_subset=labeled_subset,
        device=device,
        tqdm=tqdm.tqdm,
        writer=writer,
        iter_max=args.iter_max,
        iter_save=args.iter_save,
    )
    ut.evaluate_lower_bound(vae, labeled_subset, run_iwae=args.train == 2)
else:
    ut.load_model_by_name(vae, global_step=args.iter_max, device=device)
    ut.evaluate_lower_bound(vae, labeled_subset, run_iwae=True)
