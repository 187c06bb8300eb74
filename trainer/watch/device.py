"""What a device can do at most, and how much memory was taken at most."""

import resource

import torch

# Dense bf16 with sums in fp32 [FLOP/s], from the makers' data sheets; parts of names, the longer before the shorter.
PEAK_FLOPS = {
    "GB200": 2.5e15,
    "B200": 2.25e15,
    "H200": 989e12,
    "H100 NVL": 835e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
    "MI300X": 1307e12,
}


def peak_flops(device: torch.device) -> float | None:
    """Return the peak of a device [FLOP/s]; None for a CPU and for a GPU that the table does not know."""
    return named_peak(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def named_peak(name: str) -> float | None:
    """Look a GPU up by the name that torch gives it, as `NVIDIA H100 80GB HBM3`."""
    return next((peak for part, peak in PEAK_FLOPS.items() if part in name), None)


def peak_gpu_bytes(device: torch.device) -> int:
    """Return how much memory tensors have taken at most since the process started [bytes]; 0 on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def peak_rss_bytes() -> int:
    """Return how much memory this process has held at most [bytes]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
