//! What the producers were promised and what the consumers saw, message by message.
use crate::program::Numbered;
use std::collections::{HashMap, HashSet};

#[derive(Default)]
pub(crate) struct Ledger {
    acked: HashSet<Numbered>,
    consumed: HashMap<Numbered, u64>,
    missing: HashSet<Numbered>,
    corrupt: Vec<String>,
}

impl Ledger {
    pub(crate) fn on_acked(&mut self, message: Numbered) {
        if !self.consumed.contains_key(&message) {
            self.missing.insert(message.clone());
        }
        self.acked.insert(message);
    }

    pub(crate) fn on_consumed(&mut self, message: Numbered) {
        self.missing.remove(&message);
        *self.consumed.entry(message).or_default() += 1;
    }

    pub(crate) fn on_corrupt(&mut self, text: String) {
        self.corrupt.push(text);
    }

    /// Acknowledged messages that no consumer has seen yet: lost, if it stays so.
    pub(crate) fn missing(&self) -> usize {
        self.missing.len()
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.missing.is_empty() && self.corrupt.is_empty() && !self.acked.is_empty()
    }

    pub(crate) fn print(&self) {
        let deliveries: u64 = self.consumed.values().sum();
        let unpromised = self.consumed.keys().filter(|message| !self.acked.contains(*message)).count();
        println!("acknowledged   {:>9}", self.acked.len());
        println!("consumed       {:>9}", self.consumed.len());
        println!("unacknowledged {unpromised:>9}   (stored although the producer saw an error)");
        println!(
            "duplicates     {:>9}   (deliveries beyond the first)",
            deliveries - self.consumed.len() as u64
        );
        println!("lost           {:>9}", self.missing.len());
        println!("corrupt        {:>9}", self.corrupt.len());
        for message in self.missing.iter().take(10) {
            println!("  lost: {} {}", message.producer, message.sequence);
        }
        for text in self.corrupt.iter().take(10) {
            println!("  corrupt: {text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(sequence: u64) -> Numbered {
        Numbered { producer: "p".into(), sequence }
    }

    #[test]
    fn a_message_consumed_before_its_acknowledgement_is_not_missing() {
        let mut ledger = Ledger::default();
        ledger.on_consumed(message(1));
        ledger.on_acked(message(1));
        assert!(ledger.is_sound());
    }

    #[test]
    fn an_acknowledged_message_that_nobody_sees_is_lost() {
        let mut ledger = Ledger::default();
        ledger.on_acked(message(1));
        ledger.on_acked(message(2));
        ledger.on_consumed(message(2));
        assert_eq!(ledger.missing(), 1);
        assert!(!ledger.is_sound());
    }

    #[test]
    fn one_corrupt_body_spoils_all() {
        let mut ledger = Ledger::default();
        ledger.on_acked(message(1));
        ledger.on_consumed(message(1));
        ledger.on_corrupt("p 1 with checksum 0".into());
        assert!(!ledger.is_sound());
    }
}
