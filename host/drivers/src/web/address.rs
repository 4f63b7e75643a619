//! What kind of place an IP address is, and whether a request may be dialled there. Pure: it resolves nothing and connects to nothing.
//!
//! Only what the registries call globally reachable unicast is public; everything else, and everything that carries another address inside
//! it, is refused unless somebody named it. (IANA special-purpose registries, RFC 6890 and its updates.)

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What kind of place an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Globally reachable unicast.
    Public,
    /// `0.0.0.0/8`, `::`: this host, or nobody.
    Unspecified,
    /// This machine.
    Loopback,
    /// Networks of one organisation: RFC 1918, unique local, site local.
    Private,
    /// One wire: `169.254.0.0/16`, `fe80::/10`.
    LinkLocal,
    /// Where clouds tell a machine its own keys.
    Metadata,
    /// Behind a provider's address translation, RFC 6598.
    Shared,
    /// Many at once.
    Multicast,
    /// Everybody on a wire.
    Broadcast,
    /// Examples in texts.
    Documentation,
    /// An IPv4 address in the clothes of IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP.
    Embedded,
    /// Set aside for something else, or for later.
    Reserved,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Metadata => "a metadata service",
            Self::Shared => "shared",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Documentation => "for documentation",
            Self::Embedded => "IPv4 inside IPv6",
            Self::Reserved => "reserved",
        })
    }
}

/// Networks that somebody named, and that may be dialled though they are not public.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Named(Vec<IpNet>);

impl Named {
    /// These networks, in one form and order.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let mut networks: Vec<IpNet> = networks.into_iter().map(|network| network.trunc()).collect();
        networks.sort_unstable();
        networks.dedup();
        Self(networks)
    }

    /// This machine and its networks. What hands out credentials, and what is for nobody, is not among them.
    pub fn inside() -> Self {
        let inside = |place| matches!(place, Place::Loopback | Place::Private | Place::LinkLocal | Place::Shared);
        let four = RANGES_V4.iter().filter(|(_, place)| inside(*place)).map(|(range, _)| IpNet::V4(*range));
        let six = RANGES_V6.iter().filter(|(_, place)| inside(*place)).map(|(range, _)| IpNet::V6(*range));
        Self::new(four.chain(six).chain([IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST))]))
    }

    /// The same, and this one address.
    #[must_use]
    pub fn and(self, address: IpAddr) -> Self {
        Self::new(self.0.into_iter().chain([IpNet::from(address)]))
    }

    /// Whether a network covers it. A metadata service is named by its one address only: nobody who names a wire means the keys on it.
    fn covers(&self, address: IpAddr, alone: bool) -> bool {
        let wide_enough = |network: &&IpNet| !alone || network.prefix_len() == network.max_prefix_len();
        self.0.iter().filter(wide_enough).any(|network| network.contains(&address))
    }
}

/// Whether a request may be dialled to this address.
///
/// # Errors
/// What kind of place it is, if it is neither public nor named.
pub fn check(address: IpAddr, named: &Named) -> Result<(), Place> {
    let place = place(address);
    if place == Place::Public || named.covers(address, place == Place::Metadata) {
        // Whoever named a translator did not name all that it leads to.
        return match embedded(address) {
            Some(inside) => check(IpAddr::V4(inside), named),
            None => Ok(()),
        };
    }
    Err(place)
}

/// What kind of place it is.
fn place(address: IpAddr) -> Place {
    match address {
        IpAddr::V4(address) => place_v4(address),
        IpAddr::V6(address) => place_v6(address),
    }
}

/// Services that hand out credentials to whoever can reach them, where no range tells.
const METADATA_V4: [Ipv4Addr; 5] = [
    // Most clouds; containers of Amazon and their pod identities; Azure's host; Oracle.
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// Alibaba's, in the middle of what providers share.
const METADATA_SHARED: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const RANGES_V4: [(Ipv4Net, Place); 16] = [
    (v4(0, 0, 0, 0, 8), Place::Unspecified),
    (v4(10, 0, 0, 0, 8), Place::Private),
    (v4(100, 64, 0, 0, 10), Place::Shared),
    (v4(127, 0, 0, 0, 8), Place::Loopback),
    (v4(169, 254, 0, 0, 16), Place::LinkLocal),
    (v4(172, 16, 0, 0, 12), Place::Private),
    (v4(192, 0, 0, 0, 24), Place::Reserved),
    (v4(192, 0, 2, 0, 24), Place::Documentation),
    // Anycast of 6to4 relays, withdrawn by RFC 7526.
    (v4(192, 88, 99, 0, 24), Place::Reserved),
    (v4(192, 168, 0, 0, 16), Place::Private),
    // Benchmarks, RFC 2544.
    (v4(198, 18, 0, 0, 15), Place::Reserved),
    (v4(198, 51, 100, 0, 24), Place::Documentation),
    (v4(203, 0, 113, 0, 24), Place::Documentation),
    (v4(224, 0, 0, 0, 4), Place::Multicast),
    (v4(255, 255, 255, 255, 32), Place::Broadcast),
    (v4(240, 0, 0, 0, 4), Place::Reserved),
];

fn place_v4(address: Ipv4Addr) -> Place {
    if METADATA_V4.contains(&address) || address == METADATA_SHARED {
        return Place::Metadata;
    }
    let range = RANGES_V4.iter().find(|(range, _)| range.contains(&address));
    range.map_or(Place::Public, |(_, place)| *place)
}

const fn v6(a: u16, b: u16, c: u16, bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), bits)
}

const RANGES_V6: [(Ipv6Net, Place); 12] = [
    // NAT64, RFC 6052 and 8215; Teredo, RFC 4380; 6to4, RFC 3056.
    (v6(0x64, 0xff9b, 0, 96), Place::Embedded),
    (v6(0x64, 0xff9b, 1, 48), Place::Embedded),
    (v6(0x2001, 0, 0, 32), Place::Embedded),
    (v6(0x2002, 0, 0, 16), Place::Embedded),
    (v6(0x2001, 0xdb8, 0, 32), Place::Documentation),
    (v6(0x3fff, 0, 0, 20), Place::Documentation),
    // Protocol assignments: benchmarks, ORCHID, anycast.
    (v6(0x2001, 0, 0, 23), Place::Reserved),
    (v6(0xfc00, 0, 0, 7), Place::Private),
    (v6(0xfe80, 0, 0, 10), Place::LinkLocal),
    (v6(0xfec0, 0, 0, 10), Place::Private),
    (v6(0xff00, 0, 0, 8), Place::Multicast),
    // All but 2000::/3 is not given out; `::/3` holds the mapped and the loopback, which were looked at before.
    (v6(0x2000, 0, 0, 3), Place::Public),
];

fn place_v6(address: Ipv6Addr) -> Place {
    if METADATA_V6.contains(&address) {
        return Place::Metadata;
    }
    if address.is_unspecified() {
        return Place::Unspecified;
    }
    if address.is_loopback() {
        return Place::Loopback;
    }
    if embedded(IpAddr::V6(address)).is_some() {
        return Place::Embedded;
    }
    let range = RANGES_V6.iter().find(|(range, _)| range.contains(&address));
    range.map_or(Place::Reserved, |(_, place)| *place)
}

/// The IPv4 address that an IPv6 address leads to.
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let parts = address.segments();
    let pair = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match parts {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // Compatible (RFC 4291, withdrawn), mapped, and translated (RFC 2765).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => Some(pair(high, low)),
        // NAT64 in its well-known form; a local one may put it elsewhere, and the last 32 bits are the common way.
        [0x64, 0xff9b, 0 | 1, _, _, _, high, low] => Some(pair(high, low)),
        [0x2002, high, low, ..] => Some(pair(high, low)),
        // Teredo: the client's address, with its bits turned.
        [0x2001, 0, _, _, _, _, high, low] => Some(pair(!high, !low)),
        // ISATAP, RFC 5214: behind whatever prefix.
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => Some(pair(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(addresses: &[&str], expected: Place) {
        for address in addresses {
            let parsed: IpAddr = address.parse().expect(address);
            assert_eq!(place(parsed), expected, "{address}");
            let allowed = check(parsed, &Named::default());
            assert_eq!(allowed.is_ok(), expected == Place::Public, "{address}");
        }
    }

    fn named(networks: &[&str]) -> Named {
        Named::new(networks.iter().map(|network| network.parse().expect(network)))
    }

    fn allows(named: &Named, address: &str) -> bool {
        check(address.parse().expect(address), named).is_ok()
    }

    #[test]
    fn only_what_everybody_can_reach_is_public() {
        all(&["1.1.1.1", "8.8.8.8", "93.184.216.34", "99.255.255.255", "100.128.0.0"], Place::Public);
        all(&["126.255.255.255", "128.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255"], Place::Public);
        all(&["2606:4700::1111", "2a00:1450:4001::1", "2001:200::1", "2400::1", "2620:fe::fe"], Place::Public);
    }

    #[test]
    fn this_machine_is_known_in_each_of_its_forms() {
        all(&["127.0.0.1", "127.1.2.3", "127.255.255.255", "::1"], Place::Loopback);
        all(&["0.0.0.0", "0.1.2.3", "::"], Place::Unspecified);
    }

    #[test]
    fn inner_networks_are_private() {
        all(&["10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1"], Place::Private);
        all(&["fc00::1", "fd12:3456::1", "fec0::1"], Place::Private);
        all(&["100.64.0.1", "100.127.255.255"], Place::Shared);
        all(&["169.254.0.1", "169.254.169.253", "fe80::1", "febf::1"], Place::LinkLocal);
    }

    #[test]
    fn a_metadata_service_is_known_by_its_address() {
        all(&["169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16"], Place::Metadata);
        all(&["192.0.0.192", "fd00:ec2::254", "fd20:ce::254"], Place::Metadata);
    }

    #[test]
    fn what_is_set_aside_is_not_dialled() {
        all(&["192.0.0.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "240.0.0.1"], Place::Reserved);
        all(&["2001:2::1", "2001:10::1", "2001:20::1", "4000::1", "5f00::1", "100::1", "200::1"], Place::Reserved);
        all(&["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"], Place::Documentation);
        all(&["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"], Place::Multicast);
        all(&["255.255.255.255"], Place::Broadcast);
    }

    #[test]
    fn an_address_inside_another_is_refused_even_if_it_is_public() {
        let loopback = ["::ffff:127.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1"];
        all(&loopback, Place::Embedded);
        all(&["64:ff9b:1::a9fe:a9fe", "2002:7f00:1::", "2001:0:1::f5ff:fffe", "fe80::5efe:7f00:1"], Place::Embedded);
        all(&["::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::1", "2606:4700::200:5efe:101:101"], Place::Embedded);
        all(&["64:ff9b:1:2::1"], Place::Embedded);
    }

    #[test]
    fn a_named_network_may_be_dialled_and_no_other() {
        let inner = named(&["10.1.0.0/16", "127.0.0.1/32", "fd00::/8"]);
        assert!(allows(&inner, "10.1.2.3") && allows(&inner, "127.0.0.1") && allows(&inner, "fd00::7"));
        assert!(!allows(&inner, "10.2.0.1") && !allows(&inner, "127.0.0.2") && !allows(&inner, "::1"));
        assert!(!allows(&inner, "::ffff:10.1.2.3"), "another form is another address");
        assert!(allows(&Named::default().and("127.0.0.9".parse().expect("an address")), "127.0.0.9"));
    }

    #[test]
    fn a_metadata_service_is_not_named_by_the_wire_that_it_is_on() {
        assert!(!allows(&named(&["169.254.0.0/16"]), "169.254.169.254"));
        assert!(!allows(&named(&["0.0.0.0/0"]), "169.254.169.254"));
        assert!(!allows(&named(&["::/0"]), "fd00:ec2::254"));
        assert!(allows(&named(&["169.254.169.254/32"]), "169.254.169.254"));
    }

    #[test]
    fn inside_are_this_machine_and_its_networks_and_no_more() {
        let inside = Named::inside();
        for address in
            ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.1", "169.254.0.1", "fe80::1", "fd00::1", "100.64.0.1"]
        {
            assert!(allows(&inside, address), "{address}");
        }
        for address in
            ["169.254.169.254", "fd00:ec2::254", "0.0.0.0", "::", "224.0.0.1", "::ffff:127.0.0.1", "240.0.0.1"]
        {
            assert!(!allows(&inside, address), "{address}");
        }
    }

    #[test]
    fn whoever_names_a_translator_does_not_name_what_lies_behind_it() {
        let translator = named(&["64:ff9b::/96"]);
        assert!(allows(&translator, "64:ff9b::1.1.1.1"));
        assert!(!allows(&translator, "64:ff9b::127.0.0.1") && !allows(&translator, "64:ff9b::169.254.169.254"));
        assert!(allows(&named(&["64:ff9b::/96", "10.0.0.0/8"]), "64:ff9b::10.0.0.1"));
    }

    #[test]
    fn a_network_is_the_same_whatever_address_in_it_is_written() {
        assert_eq!(named(&["10.1.2.3/8", "10.0.0.0/8"]), named(&["10.0.0.0/8"]));
    }
}
