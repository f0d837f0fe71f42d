//! How many connections there are, in all and from each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::NetConfig;

#[derive(Default)]
pub(crate) struct Census(Mutex<Counts>);

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
    /// A place for one more, by the limits of this moment: those that have one keep it.
    pub(crate) fn seat(self: &Arc<Self>, ip: IpAddr, limits: &NetConfig) -> Result<Seat, Full> {
        let mut counts = self.0.lock();
        if counts.total >= limits.connections_max {
            return Err(Full::Total);
        }
        let here = counts.per_ip.get(&ip).copied().unwrap_or_default();
        if here >= limits.connections_per_ip_max {
            return Err(Full::PerIp);
        }
        counts.per_ip.insert(ip, here + 1);
        counts.total += 1;
        drop(counts);
        Ok(Seat { census: Arc::clone(self), ip })
    }

    pub(crate) fn total(&self) -> usize {
        self.0.lock().total
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.census.0.lock();
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
        let census = Arc::new(Census::default());
        let seat = |ip| census.seat(ip, &config);
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = seat(a).expect("room");
        let _second = seat(a).expect("room");
        assert_eq!(seat(a).err(), Some(Full::PerIp));
        let _third = seat(b).expect("room");
        assert_eq!(seat(b).err(), Some(Full::Total));
        drop(first);
        assert!(seat(a).is_ok());
        assert_eq!(census.total(), 2);
    }

    #[test]
    fn a_limit_that_changes_counts_for_the_next() {
        let census = Arc::new(Census::default());
        let ip = IpAddr::from([10, 0, 0, 1]);
        let limits = |total| NetConfig { connections_max: total, ..NetConfig::default() };
        let _first = census.seat(ip, &limits(2)).expect("room");
        let _second = census.seat(ip, &limits(2)).expect("room");
        assert_eq!(census.seat(ip, &limits(1)).err(), Some(Full::Total));
        assert!(census.seat(ip, &limits(3)).is_ok());
    }
}
