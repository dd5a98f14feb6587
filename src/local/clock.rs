//! Time in the stand-in: milliseconds since the epoch, and the speed at which scripted time passes.

use serde_json::Value;

/// Milliseconds since the epoch, or a span of milliseconds.
pub(crate) type Millis = i64;

pub(crate) fn now() -> Millis {
    jiff::Timestamp::now().as_millisecond()
}

/// A timestamp as JSON 1.1 carries it: seconds since the epoch, with a fraction.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit into 53 bits for 285,000 years")]
pub(crate) fn seconds(at: Millis) -> Value {
    Value::from(at as f64 / 1000.0)
}
