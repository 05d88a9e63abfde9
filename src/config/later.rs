//! What the configuration of this version refuses because the feature isn't there yet. A feature that arrives takes its line out.

/// What a key belongs to.
pub(crate) const TOP: &str = "the configuration";
pub(crate) const INTERFACE: &str = "an interface";
pub(crate) const API: &str = "the API";

/// Where, the key or word, and the feature that it belongs to.
const LATER: &[(&str, &str, &str)] = &[
    (TOP, "acls", "access lists"),
    (INTERFACE, "acl", "access lists"),
    (API, "metrics", "metrics exporter"),
    (API, "web", "web page"),
];

/// The feature that this key of that place belongs to, if it is one that this version doesn't have.
pub(crate) fn feature(place: &str, key: &str) -> Option<&'static str> {
    LATER.iter().find(|(p, k, _)| *p == place && *k == key).map(|(_, _, feature)| *feature)
}
