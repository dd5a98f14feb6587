//! "Did you mean": the known word that is nearest to one that is not known.

/// The nearest of `known`, if it is near enough that a slip of the finger explains the difference.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // The distance takes time by the product of the lengths; a word of this length is no slip.
    if word.len() > 100 {
        return None;
    }
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= word.len().max(candidate.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The help line for a word that is not known: the nearest one, else all there are.
pub(crate) fn help(word: &str, known: &[&str]) -> String {
    match (nearest(word, known.iter().copied()), known) {
        (Some(candidate), _) => format!("did you mean `{candidate}`?"),
        (None, []) => "there is none".to_owned(),
        (None, [only]) => format!("there is only `{only}`"),
        (None, many) => format!("there are {}", list(many)),
    }
}

/// "`a`, `b` and `c`".
pub(crate) fn list<S: AsRef<str>>(words: &[S]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::{help, list, nearest};

    #[test]
    fn a_slip_is_recognised_and_nonsense_is_not() {
        let known = ["service", "secrets", "container", "env"];
        for (word, expected) in [
            ("sevice", Some("service")),
            ("SERVICE", Some("service")),
            ("secret", Some("secrets")),
            ("evn", Some("env")),
            ("replicas", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }

    #[test]
    fn help_names_the_nearest_or_all() {
        assert_eq!(help("dve", &["dev", "prod"]), "did you mean `dev`?");
        assert_eq!(help("staging", &["dev", "prod"]), "there are `dev` and `prod`");
        assert_eq!(help("staging", &["dev"]), "there is only `dev`");
        assert_eq!(list(&["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
