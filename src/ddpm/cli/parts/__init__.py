"""The pieces that commands are made of. They import torch, so a command imports them when it runs."""
