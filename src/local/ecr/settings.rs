//! `GetAccountSetting` and `PutAccountSetting`: what an account has chosen for one region. Only `BLOB_MOUNTING` does
//! something here. In ECR it is off until somebody turns it on; here it is on until somebody turns it off.

use serde_json::{Value, json};

use crate::local::state::Holdings;
use crate::local::wire::context::Context;
use crate::local::wire::fault::{Answered, Fault};
use crate::local::wire::input::Input;

/// Name, and the values that it can have, the default first.
const KNOWN: [(&str, &[&str]); 3] = [
    ("BASIC_SCAN_TYPE_VERSION", &["AWS_NATIVE", "CLAIR"]),
    ("BLOB_MOUNTING", &["ENABLED", "DISABLED"]),
    ("REGISTRY_POLICY_SCOPE", &["V2", "V1"]),
];

pub(crate) fn get(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let (name, values) = known(input)?;
    let value = context.holdings().account_settings.get(name).map_or(values[0], String::as_str);
    Ok(json!({"name": name, "value": value}))
}

pub(crate) fn put(context: &mut Context<'_>, input: &Value) -> Answered<Value> {
    let (name, values) = known(input)?;
    let value = Input(input).required("value")?;
    if !values.contains(&value) {
        return Err(Fault::invalid_parameter(format!(
            "Invalid parameter at 'value' failed to satisfy constraint: '{value}' is no value of {name}"
        )));
    }
    context.holdings().account_settings.insert(name.to_owned(), value.to_owned());
    Ok(json!({"name": name, "value": value}))
}

/// Whether a repository may take over the layers of another one of this account and region.
pub(crate) fn mounts_blobs(holdings: &Holdings) -> bool {
    holdings.account_settings.get("BLOB_MOUNTING").is_none_or(|value| value == "ENABLED")
}

fn known(input: &Value) -> Answered<(&'static str, &'static [&'static str])> {
    let asked = Input(input).required("name")?;
    KNOWN.iter().find(|(name, _)| *name == asked).copied().ok_or_else(|| {
        Fault::invalid_parameter(format!(
            "Invalid parameter at 'name' failed to satisfy constraint: '{asked}' is no account setting"
        ))
    })
}
