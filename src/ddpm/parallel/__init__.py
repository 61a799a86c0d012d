"""Several processes as one: who they are, whether they live, on which devices. The only place that knows torch.distributed."""
