"""Which IP addresses are of the public internet: one table, whatever release of Python runs."""

import ipaddress

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Networks whose addresses are not of the public internet: the IANA special-purpose address registries of IPv4 and IPv6
# (RFC 6890, as of 2026-11) where "globally reachable" is not "true", multicast, and what clouds serve to their own
# machines.
_SPECIAL_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared by carriers; 100.100.100.200 is a cloud's metadata
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # a cloud's services for its machines
            "169.254.0.0/16",  # link-local; 169.254.169.254 is clouds' metadata
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # IETF protocol assignments; 192.0.0.192 is a cloud's metadata
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays, deprecated (RFC 7526)
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
_GIVEN_OUT = ipaddress.IPv6Network("2000::/3")  # RFC 4291, section 2.4; ULA, link-local and others lie outside
_SPECIAL_6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # IETF protocol assignments: ORCHID, benchmarks, AMT
            "2001:db8::/32",  # documentation
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)
# Networks whose addresses carry an IPv4 address in their last 32 bits: it decides, as those of 6to4 and Teredo do.
_CARRIERS = (
    ipaddress.IPv6Network("::/96"),  # IPv4-compatible (RFC 4291, section 2.5.5.1); also :: and ::1
    ipaddress.IPv6Network("::ffff:0:0/96"),  # IPv4-mapped (RFC 4291, section 2.5.5.2)
    ipaddress.IPv6Network("64:ff9b::/96"),  # NAT64 (RFC 6052); 64:ff9b:1::/48 (RFC 8215) is somebody's own
)


def _carried(number: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the IPv4 addresses in an IPv6 address: of Teredo (RFC 4380) server and client, of 6to4 (RFC 3056) one."""
    if number.teredo:
        return number.teredo
    if number.sixtofour:
        return (number.sixtofour,)
    if any(number in network for network in _CARRIERS):
        return (ipaddress.IPv4Address(int(number) & 0xFFFFFFFF),)
    return ()


def is_public(number: IPAddress) -> bool:
    """Tell whether an address is of the public internet; one that carries IPv4 addresses is if all of these are."""
    if isinstance(number, ipaddress.IPv4Address):
        return not any(number in network for network in _SPECIAL_4)
    if carried := _carried(number):
        return all(map(is_public, carried))
    return number in _GIVEN_OUT and not any(number in network for network in _SPECIAL_6)
