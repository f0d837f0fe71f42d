//! Who said what last, and the sums of all.
//!
//! A sum only grows: a cumulative value adds what is new in it, and one of a client that began anew adds all of
//! it. What a client counted before this node could know is no news: its first report then only says where the
//! next one begins.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::otlp::{Cached, Counts, NotTaken, Place, Point, Series};
use crate::limits::{
    REPORT_HISTORIES_MAX, REPORT_HISTORIES_PER_CLIENT_MAX, REPORT_PLACES_MAX, REPORT_REMEMBERED_MS,
    REPORT_SILENT_MS,
};

/// The label value of all places that have no series of their own.
const OTHER: &str = "other";

/// Who reports, and when.
pub(super) struct Reporter<'a> {
    pub(super) client_id: &'a str,
    /// Whether it has said hello and not goodbye: only then counts what it holds.
    pub(super) is_live: bool,
    /// What a client that is new here began to count before (Unix) is not known.
    pub(super) known_since_ms: i64,
    /// Monotonic.
    pub(super) now_ms: i64,
}

/// What a client said of a series last.
#[derive(Debug)]
struct Said {
    begun_ns: u64,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Client {
    heard_ms: i64,
    said: HashMap<Series, Said>,
    /// In full: what a report does not name is not held any more.
    held: Vec<(Cached, Place, f64)>,
}

impl Client {
    /// How much there is to remember.
    fn len(&self) -> usize {
        self.said.len() + self.held.len()
    }
}

/// What became of a report.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Why points were not taken.
    pub(super) refused: Vec<NotTaken>,
    /// Points that count in `other`.
    pub(super) folded: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    clients: HashMap<Arc<str>, Client>,
    sums: BTreeMap<Series, Counts>,
    /// Places with series of their own. Who came first keeps them, so that a series goes on once it is there.
    places: HashSet<Place>,
    /// What is remembered of all clients.
    histories: usize,
    swept_ms: i64,
}

impl Ledger {
    pub(super) fn report(&mut self, reporter: &Reporter<'_>, points: Vec<Point>) -> Taken {
        let known = self.clients.remove_entry(reporter.client_id);
        let is_known = known.is_some();
        let (id, mut client) = known.unwrap_or_else(|| (Arc::from(reporter.client_id), Client::default()));
        self.histories -= client.len();
        client.heard_ms = reporter.now_ms;
        client.held = Vec::new();
        let mut taken = Taken::default();
        for point in points {
            let is_own = match point {
                Point::Times { series, begun_ns: None, counts } => Ok(self.add(series, counts)),
                Point::Times { series, begun_ns: Some(begun_ns), counts } => {
                    let is_news = is_known || begun_ns / 1_000_000 >= unsigned(reporter.known_since_ms);
                    self.hear(&mut client, series, Said { begun_ns, counts }, is_news)
                }
                // Its last report comes after its goodbye.
                Point::Held { .. } if !reporter.is_live => Ok(true),
                Point::Held { cached, place, value } => self.hold(&mut client, (cached, place, value)),
            };
            match is_own {
                Ok(is_own) => taken.folded += u64::from(!is_own),
                Err(why) => taken.refused.push(why),
            }
        }
        self.histories += client.len();
        // Of whom nothing needs to be remembered, nothing is.
        if client.len() > 0 {
            self.clients.insert(id, client);
        }
        taken
    }

    fn has_room(&self, client: &Client) -> bool {
        let len = client.len();
        len < REPORT_HISTORIES_PER_CLIENT_MAX && self.histories + len < REPORT_HISTORIES_MAX
    }

    fn hold(&mut self, client: &mut Client, held: (Cached, Place, f64)) -> Result<bool, NotTaken> {
        if !self.has_room(client) {
            return Err(NotTaken::Limit);
        }
        let (cached, place, value) = held;
        let (place, is_own) = self.admit(place);
        client.held.push((cached, place, value));
        Ok(is_own)
    }

    /// Returns whether the series is one of its own, not of `other`.
    fn hear(
        &mut self,
        client: &mut Client,
        series: Series,
        now: Said,
        is_news: bool,
    ) -> Result<bool, NotTaken> {
        let news = match client.said.get(&series) {
            Some(before) if before.begun_ns > now.begun_ns => return Err(NotTaken::Late),
            Some(before) if before.begun_ns == now.begun_ns => {
                since(&before.counts, &now.counts).ok_or(NotTaken::Late)?
            }
            Some(_) => now.counts,
            None if !self.has_room(client) => return Err(NotTaken::Limit),
            None if is_news => now.counts,
            None => Counts::default(),
        };
        client.said.insert(series.clone(), now);
        Ok(self.add(series, news))
    }

    fn add(&mut self, series: Series, news: Counts) -> bool {
        let (place, is_own) = self.admit(series.place);
        let sum = self.sums.entry(Series { place, ..series }).or_default();
        for (sum, news) in sum.buckets.iter_mut().zip(news.buckets) {
            *sum = sum.saturating_add(news);
        }
        sum.sum_ms += news.sum_ms;
        is_own
    }

    /// The place whose series counts, and whether it is that place itself.
    fn admit(&mut self, place: Place) -> (Place, bool) {
        if self.places.contains(&place) {
            return (place, true);
        }
        if self.places.len() < REPORT_PLACES_MAX {
            self.places.insert(place.clone());
            return (place, true);
        }
        (Place { topic: OTHER.to_owned(), group: place.group.map(|_| OTHER.to_owned()) }, false)
    }

    pub(super) fn left(&mut self, client_id: &str) {
        if let Some(client) = self.clients.get_mut(client_id) {
            self.histories -= client.held.len();
            client.held = Vec::new();
        }
    }

    pub(super) fn forget_silent(&mut self, now_ms: i64) {
        if now_ms.saturating_sub(self.swept_ms) < REPORT_SILENT_MS {
            return;
        }
        self.swept_ms = now_ms;
        self.clients.retain(|_, client| now_ms.saturating_sub(client.heard_ms) <= REPORT_REMEMBERED_MS);
        self.histories = self.clients.values().map(Client::len).sum();
    }

    pub(super) fn sums(&self) -> impl Iterator<Item = (&Series, &Counts)> {
        self.sums.iter()
    }

    /// What all that live hold.
    pub(super) fn held(&self, now_ms: i64) -> BTreeMap<(Cached, &Place), f64> {
        let mut sums = BTreeMap::new();
        let is_heard = |client: &&Client| now_ms.saturating_sub(client.heard_ms) <= REPORT_SILENT_MS;
        for client in self.clients.values().filter(is_heard) {
            for (cached, place, value) in &client.held {
                *sums.entry((*cached, place)).or_insert(0.0) += value;
            }
        }
        sums
    }

    /// What is remembered of all clients.
    pub(super) const fn histories(&self) -> usize {
        self.histories
    }
}

/// What was counted between two reports; `None`: the second is the older one.
fn since(before: &Counts, now: &Counts) -> Option<Counts> {
    let mut buckets = [0; super::otlp::BUCKETS];
    for ((news, now), before) in buckets.iter_mut().zip(now.buckets).zip(before.buckets) {
        *news = now.checked_sub(before)?;
    }
    Some(Counts { buckets, sum_ms: (now.sum_ms - before.sum_ms).max(0.0) })
}

fn unsigned(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or_default()
}
