//! The JSON Schema of deploy.yaml, for editors. It is generated from the types, kept beside them, and a test holds the
//! two together.

use schemars::generate::SchemaSettings;

use crate::config::manifest::Manifest;

/// Pretty JSON with a newline at the end.
pub(crate) fn schema() -> String {
    let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Manifest>();
    format!("{:#}\n", schema.as_value())
}

#[cfg(test)]
mod tests {
    use super::schema;

    /// `BLESS=1 cargo test` writes the file anew.
    #[test]
    fn the_kept_schema_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/deploy.schema.json");
        if std::env::vars().any(|(name, _)| name == "BLESS") {
            std::fs::write(path, schema()).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == schema(), "src/config/deploy.schema.json is out of date: run `BLESS=1 cargo test schema`");
    }
}
