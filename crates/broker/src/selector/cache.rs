//! Remembers compiled filters.
//!
//! Two generations: what is used lives in the young one; when that is full it becomes the old one,
//! and the old one is forgotten. A filter that is used at least once per generation never leaves,
//! and no list is kept in order of use. Refused filters are not remembered: a client that repeats
//! one pays for it itself.

use std::sync::Arc;

use hashbrown::HashMap;
use model::Filter;
use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::limits::CACHED_SELECTORS_MAX;
use super::{Selector, SelectorError};

#[derive(Debug)]
pub struct SelectorCache {
    all: Arc<Selector>,
    generation_max: usize,
    generations: RwLock<Generations>,
    metrics: FilterMetrics,
}

/// What is counted of filters.
#[derive(Debug, Default)]
struct FilterMetrics {
    compiled: Counter,
    refused: Counter,
    remembered: Gauge,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Filter, Arc<Selector>>,
    old: HashMap<Filter, Arc<Selector>>,
}

impl Default for SelectorCache {
    fn default() -> Self {
        Self::new(CACHED_SELECTORS_MAX)
    }
}

impl SelectorCache {
    /// Remembers at least `generation_max` filters and at most twice as many.
    #[must_use]
    pub fn new(generation_max: usize) -> Self {
        Self {
            all: Arc::new(Selector::all()),
            generation_max: generation_max.max(1),
            generations: RwLock::default(),
            metrics: FilterMetrics::default(),
        }
    }

    /// Names what is counted.
    pub fn register(&self, registry: &mut Registry) {
        let FilterMetrics { compiled, refused, remembered } = &self.metrics;
        registry.register("filters_compiled", "Filters compiled", compiled.clone());
        registry.register("filters_refused", "Filters that do not compile", refused.clone());
        registry.register("filters_remembered", "Compiled filters that are remembered", remembered.clone());
    }

    /// The compiled form of a filter.
    ///
    /// # Errors
    /// If the filter does not compile.
    pub fn get(&self, filter: &Filter) -> Result<Arc<Selector>, SelectorError> {
        if *filter.expression == *"*" && filter.kind == model::FilterKind::Tag {
            return Ok(self.all.clone());
        }
        if let Some(selector) = self.generations.read().young.get(filter) {
            return Ok(selector.clone());
        }
        let known = self.generations.read().old.get(filter).cloned();
        let selector = match known {
            Some(selector) => selector,
            None => Arc::new(self.compile(filter)?),
        };
        self.insert(filter.clone(), selector.clone());
        Ok(selector)
    }

    fn compile(&self, filter: &Filter) -> Result<Selector, SelectorError> {
        let compiled = Selector::compile(filter);
        match compiled {
            Ok(_) => self.metrics.compiled.inc(),
            Err(_) => self.metrics.refused.inc(),
        };
        compiled
    }

    fn insert(&self, filter: Filter, selector: Arc<Selector>) {
        let mut generations = self.generations.write();
        if generations.young.len() >= self.generation_max && !generations.young.contains_key(&filter) {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(filter, selector);
        let remembered = generations.young.len() + generations.old.len();
        self.metrics.remembered.set(i64::try_from(remembered).unwrap_or(i64::MAX));
    }

    /// How many filters are remembered, for metrics.
    #[must_use]
    pub fn len(&self) -> usize {
        let generations = self.generations.read();
        generations.young.len() + generations.old.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
