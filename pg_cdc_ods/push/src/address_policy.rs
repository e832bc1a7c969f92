//! Which network addresses an endpoint may have. The ranges are those of the IANA special-purpose registries.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A kind of address that is not the open Internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressRange {
    /// 127.0.0.0/8, `::1`, and 0.0.0.0/8 and `::`, which reach this machine too.
    Loopback,
    /// 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, which carriers share, and `64:ff9b:1::/48`, which
    /// networks translate to IPv4 in their own ways.
    Private,
    /// 169.254.0.0/16 and `fe80::/10`; clouds serve credentials there.
    LinkLocal,
    /// `fc00::/7`, and `fec0::/10`, its predecessor.
    UniqueLocal,
    /// 224.0.0.0/4 and `ff00::/8`.
    Multicast,
    /// Addresses that nobody should have: 192.0.0.0/24, 198.18.0.0/15, 240.0.0.0/4 with the broadcast address, the
    /// tunnels of Teredo (`2001::/32`), and those for documentation.
    Reserved,
}

impl AddressRange {
    /// Every range.
    pub const ALL: [Self; 6] =
        [Self::Loopback, Self::Private, Self::LinkLocal, Self::UniqueLocal, Self::Multicast, Self::Reserved];

    /// The range's name, as settings write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link_local",
            Self::UniqueLocal => "unique_local",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
        }
    }

    /// The range of an address; none if it is on the open Internet. An IPv6 address that carries an IPv4 address is
    /// what that is.
    pub fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Option<Self> {
        match address.octets() {
            [0 | 127, ..] => Some(Self::Loopback),
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Some(Self::Private),
            [169, 254, ..] => Some(Self::LinkLocal),
            [224..=239, ..] => Some(Self::Multicast),
            [240..=255, ..]
            | [192, 0, 0 | 2, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _] => Some(Self::Reserved),
            _ => None,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Option<Self> {
        if address.is_unspecified() || address.is_loopback() {
            return Some(Self::Loopback);
        }
        if let Some(carried) = carried_v4(address) {
            return Self::of_v4(carried);
        }
        match address.segments() {
            [0xfe80..=0xfebf, ..] => Some(Self::LinkLocal),
            [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Some(Self::UniqueLocal),
            [0xff00..=0xffff, ..] => Some(Self::Multicast),
            [0x64, 0xff9b, 1, ..] => Some(Self::Private),
            [0x2001, 0 | 0xdb8, ..] | [0x100, 0, 0, 0, ..] => Some(Self::Reserved),
            _ => None,
        }
    }
}

/// The IPv4 address inside a mapped (`::ffff:0:0/96`), compatible (`::/96`), translated (`64:ff9b::/96`) or 6to4
/// (`2002::/16`) address: the ways in which an IPv6 address can lead to an IPv4 host.
fn carried_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let joined = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(joined(high, low))
        }
        [0x2002, high, low, ..] => Some(joined(high, low)),
        _ => None,
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The ranges that an endpoint must not be in. The default refuses none.
///
/// ```
/// use cdc_push::AddressPolicy;
///
/// let policy: AddressPolicy = "loopback, link_local".parse()?;
/// assert!(policy.check([169, 254, 169, 254].into()).is_err());
/// assert!(policy.check([10, 0, 0, 7].into()).is_ok());
/// # Ok::<(), cdc_push::UnknownRange>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    refused: BTreeSet<AddressRange>,
}

/// An address is in a range that the policy refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its address {address} is in the range {range}, which endpoints may not have")]
pub struct RefusedAddress {
    /// The address.
    pub address: IpAddr,
    /// Its range.
    pub range: AddressRange,
}

/// A name is not that of a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a range of addresses; loopback, private, link_local, unique_local, multicast and reserved are"
)]
pub struct UnknownRange(String);

impl AddressPolicy {
    /// A policy that refuses these ranges.
    pub fn refusing(ranges: impl IntoIterator<Item = AddressRange>) -> Self {
        Self { refused: ranges.into_iter().collect() }
    }

    /// Whether an endpoint may have this address.
    ///
    /// # Errors
    /// If it is in a range that the policy refuses.
    pub fn check(&self, address: IpAddr) -> Result<(), RefusedAddress> {
        match AddressRange::of(address) {
            Some(range) if self.refused.contains(&range) => Err(RefusedAddress { address, range }),
            _ => Ok(()),
        }
    }
}

/// Names of ranges with commas between them; an empty text refuses none.
impl FromStr for AddressPolicy {
    type Err = UnknownRange;

    fn from_str(text: &str) -> Result<Self, UnknownRange> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let range = |name: &str| {
            AddressRange::ALL
                .into_iter()
                .find(|range| range.as_str() == name)
                .ok_or_else(|| UnknownRange(name.to_owned()))
        };
        names.map(range).collect::<Result<_, _>>().map(|refused| Self { refused })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range_of(address: &str) -> Option<AddressRange> {
        AddressRange::of(address.parse().unwrap())
    }

    #[test]
    fn each_range_ends_where_its_registry_says() {
        use AddressRange::{LinkLocal, Loopback, Multicast, Private, Reserved, UniqueLocal};
        for (first, last, range) in [
            ("127.0.0.0", "127.255.255.255", Loopback),
            ("0.0.0.0", "0.255.255.255", Loopback),
            ("::", "::1", Loopback),
            ("10.0.0.0", "10.255.255.255", Private),
            ("172.16.0.0", "172.31.255.255", Private),
            ("192.168.0.0", "192.168.255.255", Private),
            ("100.64.0.0", "100.127.255.255", Private),
            ("169.254.0.0", "169.254.255.255", LinkLocal),
            ("fe80::", "febf:ffff::", LinkLocal),
            ("fc00::", "fdff:ffff::", UniqueLocal),
            ("fec0::", "feff::", UniqueLocal),
            ("224.0.0.0", "239.255.255.255", Multicast),
            ("ff00::", "ffff::", Multicast),
            ("240.0.0.0", "255.255.255.255", Reserved),
            ("198.18.0.0", "198.19.255.255", Reserved),
            ("64:ff9b:1::", "64:ff9b:1:ffff::", Private),
            ("2001:db8::", "2001:db8:ffff::", Reserved),
            ("2001::", "2001:0:ffff::", Reserved),
        ] {
            assert_eq!((range_of(first), range_of(last)), (Some(range), Some(range)), "{first} to {last}");
        }
    }

    #[test]
    fn neighbours_of_the_ranges_are_on_the_open_internet() {
        for address in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "fbff::",
            "fe00::",
        ] {
            assert_eq!(range_of(address), None, "{address}");
        }
    }

    #[test]
    fn an_ipv4_address_is_found_inside_an_ipv6_address() {
        use AddressRange::{LinkLocal, Loopback, Private};
        for (address, range) in [
            ("::ffff:127.0.0.1", Some(Loopback)),
            ("::ffff:10.1.2.3", Some(Private)),
            ("::169.254.169.254", Some(LinkLocal)),
            ("64:ff9b::192.168.0.1", Some(Private)),
            ("2002:7f00:1::1", Some(Loopback)),
            ("::ffff:8.8.8.8", None),
        ] {
            assert_eq!(range_of(address), range, "{address}");
        }
    }

    #[test]
    fn a_policy_refuses_what_it_names_and_no_more() {
        let policy: AddressPolicy = "loopback,private".parse().unwrap();
        assert_eq!(policy, AddressPolicy::refusing([AddressRange::Loopback, AddressRange::Private]));
        let address: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(policy.check(address), Err(RefusedAddress { address, range: AddressRange::Private }));
        assert_eq!(policy.check("169.254.1.1".parse().unwrap()), Ok(()));
        assert_eq!("".parse(), Ok(AddressPolicy::default()));
        assert_eq!("localhost".parse::<AddressPolicy>(), Err(UnknownRange("localhost".to_owned())));
    }
}
