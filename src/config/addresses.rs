//! Lists of addresses and networks that callers may be at: the gateway's own (`general_settings.allowed_ips`), and those of keys.

use std::net::IpAddr;

/// `192.0.2.7`, `10.0.0.0/8`. An empty list is none: everybody is on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressList {
    networks: Vec<Network>,
    /// Something stands there that cannot be read as an address: nobody is let through by it.
    unreadable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

// === impl AddressList ===

impl AddressList {
    /// As written.
    pub fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let written: Vec<Option<Network>> = texts.into_iter().map(Network::read).collect();
        Self {
            unreadable: written.iter().any(Option::is_none),
            networks: written.into_iter().flatten().collect(),
        }
    }

    /// Whether a text is an address or a network.
    pub fn takes(text: &str) -> bool {
        Network::read(text).is_some()
    }

    /// Whether a caller at that address is on it. `None` is an address that is not known.
    pub fn holds(&self, address: Option<IpAddr>) -> bool {
        if self.networks.is_empty() && !self.unreadable {
            return true;
        }
        address.is_some_and(|address| {
            let address = address.to_canonical();
            self.networks.iter().any(|network| network.holds(address))
        })
    }
}

// === impl Network ===

impl Network {
    /// `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`.
    fn read(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits }.canonical())
    }

    /// As callers' addresses are looked at: one of IPv4 that is written as one of IPv6 (RFC 4291, section 2.5.5.2) is one of IPv4.
    fn canonical(self) -> Self {
        let address = self.address.to_canonical();
        match self.bits.checked_sub(96) {
            Some(bits) if address != self.address => Self { address, bits },
            _ => self,
        }
    }

    fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let free = 32 - u32::from(self.bits);
                let differ = u32::from(network) ^ u32::from(address);
                differ.checked_shr(free).unwrap_or_default() == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let free = 128 - u32::from(self.bits);
                let differ = u128::from(network) ^ u128::from(address);
                differ.checked_shr(free).unwrap_or_default() == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_on_the_list_however_it_is_written() {
        for (list, address, is_on_it) in [
            ("192.0.2.7", "::ffff:192.0.2.7", true),
            ("::ffff:192.0.2.7", "192.0.2.7", true),
            ("::ffff:192.0.2.7", "::ffff:192.0.2.7", true),
            ("::ffff:192.0.2.7", "192.0.2.8", false),
            ("::ffff:192.0.2.0/120", "192.0.2.8", true),
            ("::ffff:192.0.2.0/120", "192.0.3.8", false),
            ("::ffff:0:0/96", "192.0.3.8", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "192.0.2.7", false),
            ("0.0.0.0/0", "192.0.2.7", true),
        ] {
            let address = address.parse().unwrap();
            let holds = AddressList::of([list]).holds(Some(address));
            assert_eq!(holds, is_on_it, "{address} by {list}");
        }
    }
}
