//! Sampled deliveries that are under way: handed out, and not ended yet. A pure table with a bound.

use hashbrown::HashMap;
use model::{DeliveryKey, Receipt};

use crate::spans::span::Span;

/// What is known of a delivery that is under way.
#[derive(Debug)]
pub(super) struct UnderWay {
    /// Begun, without its end.
    pub(super) span: Span,
    pub(super) expires_ms: i64,
    /// How often its end was put off.
    pub(super) extensions: u32,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    under_way: HashMap<DeliveryKey, UnderWay>,
}

/// When a receipt's time is over.
pub(super) const fn expires_ms(receipt: &Receipt) -> i64 {
    receipt.delivered_ms.saturating_add(receipt.invisible_ms)
}

impl Deliveries {
    /// Remembers a delivery; `false` if there are `max` already. What is known already stays as it is: members of
    /// an ordered group may be told the same delivery twice.
    pub(super) fn insert(&mut self, receipt: &Receipt, max: usize, span: impl FnOnce() -> Span) -> bool {
        let key = DeliveryKey::of(receipt);
        if !self.under_way.contains_key(&key) {
            if self.under_way.len() >= max {
                return false;
            }
            let (span, expires_ms) = (span(), expires_ms(receipt));
            self.under_way.insert(key, UnderWay { span, expires_ms, extensions: 0 });
        }
        true
    }

    /// The span of a delivery, if it is known.
    pub(super) fn get(&self, receipt: &Receipt) -> Option<(DeliveryKey, &Span)> {
        if self.under_way.is_empty() {
            return None;
        }
        let key = DeliveryKey::of(receipt);
        let span = &self.under_way.get(&key)?.span;
        Some((key, span))
    }

    pub(super) fn remove(&mut self, key: &DeliveryKey) -> Option<UnderWay> {
        self.under_way.remove(key)
    }

    /// A delivery goes on under another receipt.
    pub(super) fn extend(&mut self, key: &DeliveryKey, newest: &Receipt) {
        if let Some(known) = self.under_way.remove(key) {
            let (expires_ms, extensions) = (expires_ms(newest), known.extensions.saturating_add(1));
            self.under_way.insert(DeliveryKey::of(newest), UnderWay { expires_ms, extensions, ..known });
        }
    }

    /// Takes out those whose time is over.
    pub(super) fn take_expired(&mut self, now_ms: i64) -> Vec<UnderWay> {
        self.under_way.extract_if(|_, known| known.expires_ms < now_ms).map(|(_, known)| known).collect()
    }

    pub(super) fn take_all(&mut self) -> Vec<UnderWay> {
        self.under_way.drain().map(|(_, known)| known).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }
}
