"""Names that can be given, as the help lists them; whether one exists is checked later, where it is defined."""

SOURCE = (
    "'digits' (embedded), a folder of images, .tar or .parquet files (one, or a folder of them), an IDX file or folder (MNIST), "
    ".npz/.npy (uint8), CIFAR-10 .bin files, or hf:OWNER/NAME of the Hugging Face hub; of a URL download the files first"
)
PRESETS = "digits, mnist, laptop, small, cifar10, celeba-hq, lsun-bedroom, lsun-bedroom-large"
SAMPLERS = (
    "ancestral, ddim, dpm-solver, dpm-solver-2s, dpm-solver-sde, multistep, unipc, heun, flow, "
    "corrected, langevin, langevin-ncsn"
)
SPACINGS = "uniform, quadratic, trailing, leading, log-snr, optimal"
SCHEDULES = "linear, cosine, quadratic, constant, warmup, jsd, log-snr"
DISTANCES = "fid, fid-infinity, kid, is, precision-recall, density-coverage, sliced"
FEATURES = "pixels, digits, colour, inception=FILE, or a TorchScript file .pt that you trust"
