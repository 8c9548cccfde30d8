"""Measure modules of PyTorch with ntkbench: `module` turns them into functions of JAX, `resnet18` is one."""
