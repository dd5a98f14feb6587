//! From a secret's name to the variable that holds its value.

/// `DEV_` for `dev`: what stands before a secret's name when the environment does not say.
pub(crate) fn default_prefix(environment: &str) -> String {
    format!("{}_", upper(environment))
}

/// The variable of a secret: `DEV_DB_HOST` for `db-host` with the prefix `DEV_`. A prefix is taken as written.
pub(crate) fn variable(prefix: &str, secret: &str) -> String {
    format!("{prefix}{}", upper(secret))
}

fn upper(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::{default_prefix, variable};

    #[test]
    fn names_become_variables() {
        for (environment, secret, expected) in
            [("dev", "DB_HOST", "DEV_DB_HOST"), ("eu-west.1", "db-host", "EU_WEST_1_DB_HOST"), ("dév", "x", "D_V_X")]
        {
            assert_eq!(variable(&default_prefix(environment), secret), expected);
        }
        assert_eq!(variable("", "DB_HOST"), "DB_HOST");
    }
}
