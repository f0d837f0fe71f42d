//! Reads the metrics' own text: strictly, as Prometheus' own check does, so that a test can say it is sound, and
//! so that what is pushed is what is shown.

use std::collections::{BTreeMap, BTreeSet};

/// Metrics of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    pub name: String,
    pub kind: Kind,
    pub help: String,
    pub samples: Vec<Sample>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
    Other,
}

impl Kind {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Other => "other",
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// With its ending: `_total`, `_bucket`, `_sum`, `_count`.
    pub name: String,
    /// In order of their names.
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// Reads a whole text.
///
/// # Errors
/// If it is not as OpenMetrics says: the line and what is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Family>, String> {
    let Some(body) = text.strip_suffix("# EOF\n") else {
        return Err("the text does not end in # EOF".to_owned());
    };
    let mut families: Vec<Family> = Vec::new();
    let mut names = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (at, line) in body.lines().enumerate() {
        let wrong = |what: String| format!("line {}: {what}: {line}", at + 1);
        if let Some(rest) = line.strip_prefix("# ") {
            comment(rest, &mut families, &mut names).map_err(wrong)?;
            continue;
        }
        let sample = sample(line).map_err(wrong)?;
        let family = families.last_mut().ok_or_else(|| wrong("a sample before any name".to_owned()))?;
        check(family, &sample).map_err(wrong)?;
        if !seen.insert((sample.name.clone(), sample.labels.clone())) {
            return Err(wrong("the same series twice".to_owned()));
        }
        family.samples.push(sample);
    }
    families.iter().try_for_each(check_family)?;
    Ok(families)
}

fn comment(rest: &str, families: &mut Vec<Family>, names: &mut BTreeSet<String>) -> Result<(), String> {
    let (what, rest) = rest.split_once(' ').ok_or("a comment without a name")?;
    let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
    match what {
        "HELP" => {
            if !is_name(name, true) || !names.insert(name.to_owned()) {
                return Err(format!("`{name}` is no name, or stands here twice"));
            }
            let help = text.trim_end_matches('.').to_owned();
            families.push(Family { name: name.to_owned(), kind: Kind::Other, help, samples: Vec::new() });
        }
        "TYPE" => {
            let family =
                families.last_mut().filter(|family| family.name == name).ok_or("TYPE without HELP")?;
            family.kind = match text {
                "counter" => Kind::Counter,
                "gauge" => Kind::Gauge,
                "histogram" => Kind::Histogram,
                "info" | "unknown" => Kind::Other,
                other => return Err(format!("there is no type `{other}`")),
            };
        }
        "UNIT" => {}
        other => return Err(format!("there is no comment `{other}`")),
    }
    Ok(())
}

fn is_name(name: &str, with_colon: bool) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || (with_colon && byte == b':'))
}

fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("a name without a value")?;
    let (name, rest) = line.split_at(end);
    if !is_name(name, true) {
        return Err(format!("`{name}` is no name"));
    }
    let mut labels = BTreeMap::new();
    let value = match rest.strip_prefix('{') {
        None => rest,
        Some(rest) => labelled(rest, &mut labels)?,
    };
    let value = match value.trim() {
        "+Inf" => f64::INFINITY,
        text => text.parse().map_err(|_| format!("`{text}` is no number"))?,
    };
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// Reads labels up to the closing brace; answers what follows.
fn labelled<'a>(mut rest: &'a str, labels: &mut BTreeMap<String, String>) -> Result<&'a str, String> {
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Ok(after);
        }
        let (name, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        if !is_name(name, false) {
            return Err(format!("`{name}` is no name of a label"));
        }
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().ok_or("a value without an end")? {
                (at, '"') => break at,
                (_, '\\') => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, other @ ('\\' | '"'))) => value.push(other),
                    _ => return Err("a backslash before nothing that needs it".to_owned()),
                },
                (_, other) => value.push(other),
            }
        };
        if labels.insert(name.to_owned(), value).is_some() {
            return Err(format!("the label `{name}` twice"));
        }
        rest = after.get(end + 1..).unwrap_or_default();
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

fn check(family: &Family, sample: &Sample) -> Result<(), String> {
    let ending = sample.name.strip_prefix(family.name.as_str());
    let fits = match family.kind {
        Kind::Counter => ending == Some("_total"),
        Kind::Gauge => ending == Some(""),
        Kind::Histogram => matches!(ending, Some("_bucket" | "_sum" | "_count")),
        Kind::Other => ending.is_some(),
    };
    if !fits {
        return Err(format!("it does not belong to the {} `{}`", family.kind.name(), family.name));
    }
    if family.kind == Kind::Counter && !(sample.value >= 0.0 && sample.value.is_finite()) {
        return Err("a counter is a number from 0 on".to_owned());
    }
    Ok(())
}

/// The buckets of a histogram: without their bounds the same labels, cumulative, the last as high as the count.
fn check_family(family: &Family) -> Result<(), String> {
    if family.kind != Kind::Histogram {
        return Ok(());
    }
    for histogram in histograms(family)? {
        let mut before = 0.0;
        for (_, count) in &histogram.buckets {
            if *count < before {
                return Err(format!("buckets of `{}` fall", family.name));
            }
            before = *count;
        }
        let last = histogram.buckets.last();
        if last.is_none_or(|(bound, count)| bound.is_finite() || (*count - histogram.count).abs() > 0.5) {
            return Err(format!("the last bucket of `{}` does not hold all", family.name));
        }
    }
    Ok(())
}

/// A histogram put together again.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramOf {
    pub labels: BTreeMap<String, String>,
    pub sum: f64,
    pub count: f64,
    /// Bound and cumulative count, in order; the last bound is infinite.
    pub buckets: Vec<(f64, f64)>,
}

/// The histograms of a family.
///
/// # Errors
/// If a bucket has no bound.
pub fn histograms(family: &Family) -> Result<Vec<HistogramOf>, String> {
    let mut all: BTreeMap<BTreeMap<String, String>, HistogramOf> = BTreeMap::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        let bound = labels.remove("le");
        let new = || HistogramOf { labels: labels.clone(), sum: 0.0, count: 0.0, buckets: Vec::new() };
        let histogram = all.entry(labels.clone()).or_insert_with(new);
        match sample.name.strip_prefix(family.name.as_str()) {
            Some("_sum") => histogram.sum = sample.value,
            Some("_count") => histogram.count = sample.value,
            _ => {
                let bound = bound.ok_or_else(|| format!("a bucket of `{}` without a bound", family.name))?;
                let bound = if bound == "+Inf" { Ok(f64::INFINITY) } else { bound.parse() };
                let bound = bound.map_err(|_| format!("a bound of `{}` is no number", family.name))?;
                histogram.buckets.push((bound, sample.value));
            }
        }
    }
    Ok(all.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "# HELP a_b What it is.\n# TYPE a_b counter\na_b_total{x=\"1\",y=\"q\\\"\\n\"} 7\n\
                         # HELP h Times.\n# TYPE h histogram\nh_sum 3.5\nh_count 2\nh_bucket{le=\"1.0\"} 1\n\
                         h_bucket{le=\"+Inf\"} 2\n# EOF\n";

    #[test]
    fn what_is_sound_is_read() {
        let families = parse(SOUND).expect("sound");
        assert_eq!((families[0].name.as_str(), families[0].kind), ("a_b", Kind::Counter));
        assert_eq!(families[0].samples[0].labels["y"], "q\"\n");
        let histogram = &histograms(&families[1]).expect("bounds")[0];
        assert_eq!((histogram.count, histogram.buckets[0]), (2.0, (1.0, 1.0)));
    }

    #[test]
    fn what_is_not_sound_is_refused() {
        for (right, wrong) in [
            ("# EOF\n", ""),
            ("a_b_total{", "a_b{"),
            ("} 7", "} -7"),
            ("} 7", "} seven"),
            ("x=\"1\"", "1x=\"1\""),
            ("x=\"1\"", "y=\"1\""),
            ("h_count 2", "h_count 3"),
            ("le=\"1.0\"} 1", "le=\"1.0\"} 3"),
            ("# HELP h Times.\n", ""),
            ("# TYPE h histogram", "# TYPE h thing"),
            ("h_sum 3.5\n", "h_sum 3.5\nh_sum 3.5\n"),
            ("# HELP h", "# HELP a_b"),
        ] {
            assert!(parse(&SOUND.replacen(right, wrong, 1)).is_err(), "{right} -> {wrong}");
        }
    }
}
