//! The Collector's block `tail_sampling`, key by key (v0.161.0). What is not understood is refused: a policy that is
//! silently left out would keep or drop what nobody wanted.

use std::time::Duration;

use regex::Regex;
use rustc_hash::FxHashSet;

use super::Tail;
use super::limiter::Limiter;
use super::policy::{Matcher, Part, Policy, part_of_hashes};
use crate::block::{BlockError, Node, Place};

/// What a block may say.
const KEYS: [&str; 13] = [
    "decision_wait",
    "decision_wait_after_root_received",
    "num_traces",
    "expected_new_traces_per_sec",
    "policies",
    "decision_cache",
    "sample_on_first_match",
    "sampling_strategy",
    "drop_pending_traces_on_shutdown",
    "maximum_trace_size_bytes",
    // What follows changes nothing here: nothing ever waits for room, and nothing is divided.
    "block_on_overflow",
    "num_shards",
    "tail_storage",
];
/// Traces that wait, if that is not said: the Collector's.
const TRACES: usize = 50_000;
/// Decisions that are remembered at least.
const REMEMBERED: usize = 100_000;
/// The most of both.
const MOST: usize = 10_000_000;
/// Bytes of a compiled pattern.
const PATTERN: usize = 1 << 20;
/// What salts the hash, if that is not said.
const SALT: &str = "default-hash-seed";
/// What turns a policy by an attribute round.
const INVERT: &str = "invert_match";
/// How deep policies stand inside each other.
const DEPTH: usize = 8;

impl Tail {
    /// Reads a block.
    ///
    /// # Errors
    /// What is wrong in it, where, and what would be right.
    pub fn read(block: &Node) -> Result<Self, BlockError> {
        let place = Place::root(block, "tail_sampling");
        place.keys(&KEYS)?;
        let size = |place: &Place<'_>| Ok::<_, BlockError>(place.number::<usize>()?.min(MOST));
        if let Some(strategy) = place.get("sampling_strategy").filter(|s| s.text() != Ok("trace-complete")) {
            return Err(strategy.wrong("can only be trace-complete here: a trace is decided about as a whole"));
        }
        if let Some(storage) = place.get("tail_storage") {
            return Err(storage.wrong("is not there: traces wait in memory; remove the line"));
        }
        let (mut remembered, cache) = (REMEMBERED, place.get("decision_cache"));
        if let Some(cache) = cache {
            const SIZES: [&str; 2] = ["sampled_cache_size", "non_sampled_cache_size"];
            cache.keys(&SIZES)?;
            for key in SIZES {
                remembered = remembered.max(cache.get(key).map_or(Ok(0), |place| size(&place))?);
            }
        }
        let duration = |key| place.get(key).map(|place| place.duration()).transpose();
        let Some(policies) = place.get("policies") else {
            return Err(place.wrong("has no policies, so nothing would be kept; add `policies:` with a list"));
        };
        Ok(Self {
            wait: duration("decision_wait")?.unwrap_or(Duration::ZERO),
            wait_after_root: duration("decision_wait_after_root_received")?.filter(|wait| !wait.is_zero()),
            traces: place.get("num_traces").map_or(Ok(TRACES), |place| size(&place))?.max(1),
            trace_bytes: Some(place.number_at("maximum_trace_size_bytes")?).filter(|bytes| *bytes > 0),
            remembered,
            drop_pending: place.switch_at("drop_pending_traces_on_shutdown")?,
            first_match: place.switch_at("sample_on_first_match")?,
            policies: named_policies(&policies)?,
        })
    }
}

/// Every policy, those that drop first.
fn named_policies(place: &Place<'_>) -> Result<Vec<Policy>, BlockError> {
    let mut names = FxHashSet::default();
    let mut policies = Vec::new();
    for item in place.items()? {
        let name = item.get("name").ok_or_else(|| item.wrong("has no name; add `name:`"))?;
        if !names.insert(name.text()?) {
            return Err(
                name.wrong(format!("{:?} is the name of another policy; choose a name of its own", name.text()?))
            );
        }
        policies.push(policy(&item, 0)?);
    }
    if policies.is_empty() {
        return Err(place.wrong("is empty, so nothing would be kept; add a policy"));
    }
    policies.sort_by_key(|policy| !policy.is_drop());
    Ok(policies)
}

/// Every type that is understood, and the block that describes it.
const TYPES: [&str; 15] = [
    "always_sample",
    "latency",
    "numeric_attribute",
    "probabilistic",
    "status_code",
    "string_attribute",
    "boolean_attribute",
    "rate_limiting",
    "span_count",
    "trace_state",
    "trace_flags",
    "and",
    "not",
    "drop",
    "composite",
];

fn policy(item: &Place<'_>, depth: usize) -> Result<Policy, BlockError> {
    let Some(kind) = item.get("type") else { return Err(item.wrong("has no type; add `type:`")) };
    let name = kind.text()?;
    if !TYPES.contains(&name) {
        let problem = format!("{name:?} is a type that is not understood; known are {}", TYPES.join(", "));
        return Err(kind.wrong(problem));
    }
    if depth > DEPTH {
        return Err(item.wrong(format!("stands deeper than {DEPTH} policies; make it flatter")));
    }
    let mut keys = vec!["name", "type"];
    keys.extend(TYPES);
    item.keys(&keys)?;
    // What it may say is an empty mapping where nothing is said.
    let empty = Node::Nothing;
    let own = item.get(name).unwrap_or_else(|| Place::root(&empty, name));
    let required = |key: &str| own.get(key).ok_or_else(|| item.wrong(format!("has no {name}.{key}; add it")));
    Ok(match name {
        "always_sample" => Policy::AlwaysSample,
        "trace_flags" => Policy::TraceFlags,
        "latency" => {
            own.keys(&["threshold_ms", "upper_threshold_ms"])?;
            let up_to_ms = own.number_at("upper_threshold_ms")?;
            Policy::Latency { above_ms: own.number_at("threshold_ms")?, up_to_ms }
        }
        "numeric_attribute" => numeric(item, &own)?,
        "probabilistic" => {
            own.keys(&["hash_salt", "sampling_percentage"])?;
            let salt = own.get("hash_salt").map(|place| place.text()).transpose()?.unwrap_or(SALT).to_owned();
            let percentage: f64 = own.number_at("sampling_percentage")?;
            Policy::Probabilistic { salt, threshold: part_of_hashes(percentage / 100.0) }
        }
        "status_code" => status_code(&own, &required("status_codes")?)?,
        "string_attribute" => {
            own.keys(&["key", "values", "enabled_regex_matching", "cache_max_size", INVERT])?;
            let patterns = own.switch_at("enabled_regex_matching")?;
            let key = required("key")?.text()?.to_owned();
            Policy::Text { key, matcher: matcher(&required("values")?, patterns)?, invert: own.switch_at(INVERT)? }
        }
        "boolean_attribute" => {
            own.keys(&["key", "value", INVERT])?;
            let value = own.switch_at("value")?;
            Policy::Boolean { key: required("key")?.text()?.to_owned(), value, invert: own.switch_at(INVERT)? }
        }
        "rate_limiting" => {
            own.keys(&["spans_per_second", "burst_capacity"])?;
            let per_second: u64 = required("spans_per_second")?.number()?;
            let burst: u64 = own.number_at("burst_capacity")?;
            Policy::RateLimiting(Limiter::new(per_second, if burst > 0 { burst } else { per_second.saturating_mul(2) }))
        }
        "span_count" => {
            own.keys(&["min_spans", "max_spans"])?;
            Policy::SpanCount { min: own.number_at("min_spans")?, max: own.number_at("max_spans")? }
        }
        "trace_state" => {
            own.keys(&["key", "values"])?;
            let key = required("key")?.text()?.to_owned();
            let mut values = texts(&required("values")?)?;
            values.retain(|value| key.len() + value.len() < 256);
            Policy::TraceState { key, values }
        }
        "and" => Policy::And(parts(&own, &required("and_sub_policy")?, depth)?),
        "drop" => Policy::Drop(parts(&own, &required("drop_sub_policy")?, depth)?),
        "not" => {
            own.keys(&["not_sub_policy"])?;
            Policy::Not(Box::new(policy(&required("not_sub_policy")?, depth + 1)?))
        }
        _ => composite(&own, &required("composite_sub_policy")?, depth)?,
    })
}

/// (A limit of 0 is none, as the Collector has it.)
fn numeric(item: &Place<'_>, own: &Place<'_>) -> Result<Policy, BlockError> {
    own.keys(&["key", "min_value", "max_value", INVERT])?;
    let limit = |key| Ok(Some(own.number_at::<i64>(key)?).filter(|n| *n != 0));
    let (min, max) = (limit("min_value")?, limit("max_value")?);
    if min.is_none() && max.is_none() {
        return Err(item.wrong("has neither min_value nor max_value (0 counts as none); add one of them"));
    }
    let Some(key) = own.get("key") else { return Err(item.wrong("has no numeric_attribute.key; add it")) };
    let (min, max) = (min.unwrap_or(i64::MIN), max.unwrap_or(i64::MAX));
    Ok(Policy::Numeric { key: key.text()?.to_owned(), min, max, invert: own.switch_at(INVERT)? })
}

fn status_code(own: &Place<'_>, codes: &Place<'_>) -> Result<Policy, BlockError> {
    own.keys(&["status_codes"])?;
    let (mut ok, mut error, mut unset) = (false, false, false);
    for code in codes.items()? {
        match code.text()? {
            "OK" => ok = true,
            "ERROR" => error = true,
            "UNSET" => unset = true,
            other => return Err(code.wrong(format!("{other:?} is no status; use OK, ERROR or UNSET"))),
        }
    }
    if !(ok || error || unset) {
        return Err(codes.wrong("is empty; add OK, ERROR or UNSET"));
    }
    Ok(Policy::StatusCode { ok, error, unset })
}

fn texts(place: &Place<'_>) -> Result<FxHashSet<String>, BlockError> {
    let all: Result<Vec<_>, _> = place.items()?.iter().map(|item| item.text().map(str::to_owned)).collect();
    Ok(all?.into_iter().filter(|text| !text.is_empty()).collect())
}

fn matcher(values: &Place<'_>, patterns: bool) -> Result<Matcher, BlockError> {
    if !patterns {
        return texts(values).map(Matcher::Exact);
    }
    let compile = |item: &Place<'_>| {
        let built = regex::RegexBuilder::new(item.text()?).size_limit(PATTERN).build();
        built.map_err(|error| item.wrong(format!("is no regular expression: {error}")))
    };
    let compiled: Result<Vec<Regex>, _> = values.items()?.iter().map(compile).collect();
    compiled.map(Matcher::Patterns)
}

/// The policies of an `and` or a `drop`.
fn parts(own: &Place<'_>, list: &Place<'_>, depth: usize) -> Result<Vec<Policy>, BlockError> {
    own.keys(&["and_sub_policy", "drop_sub_policy"])?;
    list.items()?.iter().map(|item| policy(item, depth + 1)).collect()
}

fn composite(own: &Place<'_>, list: &Place<'_>, depth: usize) -> Result<Policy, BlockError> {
    own.keys(&["max_total_spans_per_second", "policy_order", "composite_sub_policy", "rate_allocation"])?;
    let per_second: u64 = own.number_at("max_total_spans_per_second")?;
    let mut percent = Vec::new();
    for allocation in own.get("rate_allocation").map_or(Ok(Vec::new()), |place| place.items())? {
        allocation.keys(&["policy", "percent"])?;
        let of = allocation.get("policy").ok_or_else(|| allocation.wrong("names no policy; add `policy:`"))?;
        let part: u64 = allocation.number_at("percent")?;
        percent.push((of.text()?, part));
    }
    let items = list.items()?;
    let share = per_second as f64 / items.len().max(1) as f64;
    let part = |item: &Place<'_>| -> Result<Part, BlockError> {
        let name = item.get("name").map_or(Ok(""), |name| name.text())?;
        let stated = percent.iter().rfind(|(of, part)| *of == name && *part > 0);
        let allocated = stated.map_or(share, |(_, part)| *part as f64 / 100.0 * per_second as f64);
        Ok(Part { policy: policy(item, depth + 1)?, allocated: allocated as u64, taken: 0 })
    };
    let parts: Result<Vec<Part>, _> = items.iter().map(part).collect();
    Ok(Policy::Composite { per_second, second: 0, parts: parts? })
}
