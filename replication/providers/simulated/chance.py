"""Chance that is the same in every process and after every restart."""

from hashlib import blake2b


def seeded(*parts: object) -> float:
    """Return a number in [0, 1) that depends on `parts` alone."""
    digest = blake2b("\0".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def address(network: str, vm: str) -> str:
    """Return the VM's address in a network of 16 bits, as "10.40": the same every time."""
    number = int(seeded(network, vm) * 254 * 254)
    return f"{network}.{number // 254 + 1}.{number % 254 + 1}"
