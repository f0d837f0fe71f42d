//! How many connections there are, in all and from each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::NetConfig;

#[derive(Default)]
pub(crate) struct Census {
    total_max: usize,
    per_ip_max: usize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    total: usize,
    per_ip: HashMap<IpAddr, usize>,
}

/// Which limit a connection would go over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Total,
    PerIp,
}

/// A connection's place, free again when dropped.
pub(crate) struct Seat {
    census: Arc<Census>,
    ip: IpAddr,
}

impl Census {
    pub(crate) fn new(config: &NetConfig) -> Arc<Self> {
        Arc::new(Self {
            total_max: config.connections_max,
            per_ip_max: config.connections_per_ip_max,
            counts: Mutex::default(),
        })
    }

    pub(crate) fn seat(self: &Arc<Self>, ip: IpAddr) -> Result<Seat, Full> {
        let mut counts = self.counts.lock();
        if counts.total >= self.total_max {
            return Err(Full::Total);
        }
        let here = counts.per_ip.entry(ip).or_default();
        if *here >= self.per_ip_max {
            return Err(Full::PerIp);
        }
        *here += 1;
        counts.total += 1;
        drop(counts);
        Ok(Seat { census: Arc::clone(self), ip })
    }

    pub(crate) fn total(&self) -> usize {
        self.counts.lock().total
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.census.counts.lock();
        counts.total -= 1;
        if let Some(here) = counts.per_ip.get_mut(&self.ip) {
            *here -= 1;
            if *here == 0 {
                counts.per_ip.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_seats_come_back() {
        let config = NetConfig { connections_max: 3, connections_per_ip_max: 2, ..NetConfig::default() };
        let census = Census::new(&config);
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = census.seat(a).expect("room");
        let _second = census.seat(a).expect("room");
        assert_eq!(census.seat(a).err(), Some(Full::PerIp));
        let _third = census.seat(b).expect("room");
        assert_eq!(census.seat(b).err(), Some(Full::Total));
        drop(first);
        assert!(census.seat(a).is_ok());
        assert_eq!(census.total(), 2);
    }
}
