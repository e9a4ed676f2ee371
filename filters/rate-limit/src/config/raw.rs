//! The configuration as it is written. Every field may be missing; the defaults are in the settings.

pub use super::parts::{Address, Fields, RawPart};
pub use super::values::{Many, Period, Statuses};

use seawall_core::time::Span;
use serde::de::{Deserializer, Error, Visitor};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// All of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct Raw {
    pub(super) enabled: Option<bool>,
    pub(super) limits: Option<Vec<RawLimit>>,
    pub(super) exempt: Option<Many<RawRule>>,
    pub(super) client_address: Option<Address>,
    pub(super) max_keys: Option<u32>,
    pub(super) on_error: Option<super::OnError>,
    pub(super) replicas: Option<u32>,
    pub(super) fleet: Option<RawFleet>,
    pub(super) headers: Option<RawHeaders>,
    pub(super) answer: Option<RawAnswer>,
    pub(super) jwt_payload: Option<String>,
    pub(super) access_log: Option<bool>,
    pub(super) per_route: Option<bool>,
}

/// A limit.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct RawLimit {
    pub(super) name: Option<String>,
    pub(super) key: Option<Vec<RawPart>>,
    pub(super) scope: Option<Scope>,
    pub(super) algorithm: Option<Algorithm>,
    pub(super) requests: Option<u64>,
    pub(super) per: Option<Period>,
    pub(super) burst: Option<u64>,
    pub(super) concurrent: Option<u64>,
    pub(super) lease: Option<Span>,
    pub(super) missing: Option<super::Missing>,
    #[serde(rename = "match")]
    pub(super) matches: Option<Many<RawRule>>,
    pub(super) exempt: Option<Many<RawRule>>,
    pub(super) overrides: Option<Vec<RawOverride>>,
    pub(super) cost: Option<RawCost>,
    pub(super) shadow: Option<bool>,
    pub(super) enforce_percent: Option<f64>,
    pub(super) charge: Option<RawCharge>,
    pub(super) penalty: Option<RawPenalty>,
    pub(super) count_refused: Option<bool>,
}

/// Who keeps a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// This Envoy.
    Local,
    /// The service, for all Envoys.
    Fleet,
}

/// The service that keeps limits for a whole fleet.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct RawFleet {
    pub(super) cluster: Option<String>,
    pub(super) domain: Option<String>,
    pub(super) timeout: Option<Span>,
    pub(super) on_error: Option<super::OnFleetError>,
    pub(super) send_numbers: Option<bool>,
    pub(super) max_waiting: Option<u32>,
    pub(super) remember: Option<Span>,
}

/// Which algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// A theoretical arrival time.
    Gcra,
    /// Two counts, weighted.
    SlidingWindow,
    /// The calendar's windows.
    FixedWindow,
}

/// Other numbers for some requests.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct RawOverride {
    pub(super) key: Option<Many<String>>,
    #[serde(rename = "match")]
    pub(super) matches: Option<Many<RawRule>>,
    pub(super) requests: Option<u64>,
    pub(super) per: Option<Period>,
    pub(super) burst: Option<u64>,
    pub(super) concurrent: Option<u64>,
    pub(super) unlimited: Option<bool>,
}

/// Which requests.
#[derive(Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a rule: an object with `route`, `host`, `path`, `method`, `header` or `cidr`"
)]
pub struct RawRule {
    pub(super) route: Option<Many<String>>,
    pub(super) host: Option<Many<String>>,
    pub(super) path: Option<Many<String>>,
    pub(super) method: Option<Many<String>>,
    pub(super) header: Option<BTreeMap<String, RawHeaderRule>>,
    pub(super) cidr: Option<Many<String>>,
}

/// What is asked of a header: values, or whether it is there.
#[derive(Debug)]
pub enum RawHeaderRule {
    /// It is there, or not.
    Present(bool),
    /// One of these.
    Matches(Many<String>),
}

impl<'de> Deserialize<'de> for RawHeaderRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = RawHeaderRule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value, a list of values, or true or false for whether it is there")
            }
            fn visit_bool<E: Error>(self, present: bool) -> Result<RawHeaderRule, E> {
                Ok(RawHeaderRule::Present(present))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<RawHeaderRule, E> {
                Ok(RawHeaderRule::Matches(Many(vec![text.to_owned()])))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                seq: A,
            ) -> Result<RawHeaderRule, A::Error> {
                let values = serde::de::value::SeqAccessDeserializer::new(seq);
                Vec::deserialize(values).map(|values| RawHeaderRule::Matches(Many(values)))
            }
        }
        deserializer.deserialize_any(Form)
    }
}

/// What a request costs: a number, or a header.
#[derive(Debug)]
pub enum RawCost {
    /// Always the same.
    Fixed(u64),
    /// What a header says.
    Header(RawCostHeader),
}

impl<'de> Deserialize<'de> for RawCost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = RawCost;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a whole number from 0 on, or an object with `header`, `default`, `min`, `max`",
                )
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<RawCost, E> {
                Ok(RawCost::Fixed(number))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<RawCost, A::Error> {
                let fields = serde::de::value::MapAccessDeserializer::new(map);
                RawCostHeader::deserialize(fields).map(RawCost::Header)
            }
        }
        deserializer.deserialize_any(Form)
    }
}

/// A request's cost from a header.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct RawCostHeader {
    pub(super) header: Option<String>,
    pub(super) default: Option<u64>,
    pub(super) min: Option<u64>,
    pub(super) max: Option<u64>,
}

/// Charging by response.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct RawCharge {
    pub(super) status: Option<Many<Statuses>>,
    pub(super) header: Option<String>,
    pub(super) reserve: Option<u64>,
}

/// Refusing for a while.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct RawPenalty {
    pub(super) refusals: Option<u64>,
    pub(super) within: Option<Span>,
    pub(super) block_for: Option<Span>,
}

/// Which fields responses carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawHeaders {
    /// `RateLimit` and `RateLimit-Policy`.
    Ietf,
    /// `X-RateLimit-*`.
    XRatelimit,
    /// Both.
    Both,
    /// None.
    None,
}

/// What is answered to a refused request.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct RawAnswer {
    pub(super) status: Option<u32>,
    pub(super) body: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) headers: Option<BTreeMap<String, String>>,
    pub(super) problem_json: Option<bool>,
    pub(super) retry_after_jitter: Option<Span>,
}
