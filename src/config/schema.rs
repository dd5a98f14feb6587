//! The JSON Schema of deploy.yaml, for editors. It is generated from the types, kept beside them, and a test holds the
//! two together.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::config::manifest::Manifest;

/// Pretty JSON with a newline at the end.
pub(crate) fn schema() -> String {
    let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Manifest>();
    let mut schema = schema.to_value();
    forbid_null(&mut schema);
    format!("{schema:#}\n")
}

/// An optional key may be left out; it may not be there without a value, which is what the generator allows.
fn forbid_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice["type"] != "null");
            }
            object.values_mut().for_each(forbid_null);
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_null),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::schema;

    /// `BLESS=1 cargo test schema` writes the file anew.
    #[test]
    fn the_kept_schema_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/deploy.schema.json");
        if std::env::vars().any(|(name, _)| name == "BLESS") {
            std::fs::write(path, schema()).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == schema(), "src/config/deploy.schema.json is out of date: run `BLESS=1 cargo test schema`");
    }

    #[test]
    fn nothing_may_be_null() {
        assert!(!schema().contains("\"null\""));
    }
}
