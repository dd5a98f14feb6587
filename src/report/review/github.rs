//! A review in GitHub's terms: workflow commands, which become annotations in the pull request, and the step's summary,
//! which is Markdown. GitHub shows the first ten errors and the first ten warnings of a step; the summary has all.

use super::markdown::markdown;
use super::{Level, Review};

/// GitHub takes 1 MiB for a step; a summary above that is refused whole.
const LARGEST: usize = 1_000_000;

/// One line for each remark, for the step's output.
pub(crate) fn commands(review: &Review) -> Vec<String> {
    let title = property(&format!("shipit: {}", review.title()));
    let command = |remark: &super::Remark| {
        let level = if remark.level == Level::Error { "error" } else { "warning" };
        let place = remark.place.as_ref().map(|(path, line)| format!("file={},line={line},", property(path)));
        let about = remark.service.as_ref().map(|service| format!("{service}: ")).unwrap_or_default();
        let hint = remark.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        let text = data(&format!("{about}{}{hint}", remark.text));
        format!("::{level} {}title={title}::{text}", place.unwrap_or_default())
    };
    review.remarks.iter().map(command).collect()
}

/// What is appended to the file that `GITHUB_STEP_SUMMARY` names.
pub(crate) fn summary(review: &Review) -> String {
    let mut text = markdown(review);
    if text.len() > LARGEST {
        text.truncate(text.floor_char_boundary(LARGEST));
        text.push_str("\n\nThe rest is left out: GitHub takes no more. The log has all of it.\n");
    }
    text.push('\n');
    text
}

/// As the runner decodes the text of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// As the runner decodes a command's property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::{commands, summary};
    use crate::report::review::testdata;

    #[test]
    fn each_remark_is_a_line_and_no_text_can_begin_another() {
        let mut review = testdata::plan();
        review.remarks_mut()[0].text = "100% refused\r\n::set-env name=X::y".to_owned();
        review.remarks_mut()[0].place = Some(("a,b:c.yaml".to_owned(), 12));
        let lines = commands(&review);
        assert_eq!(
            lines[0],
            "::error file=a%2Cb%3Ac.yaml,line=12,title=shipit%3A plan for dev::\
             api: 100%25 refused%0D%0A::set-env name=X::y%0Ahint: create it"
        );
        assert!(lines[1].starts_with("::warning title=shipit%3A plan for dev::"), "{}", lines[1]);
        assert!(lines.iter().all(|line| line.lines().count() == 1));
    }

    #[test]
    fn a_summary_stays_below_what_github_takes() {
        let mut review = testdata::plan();
        review.remarks_mut()[0].text = "é".repeat(600_000);
        let text = summary(&review);
        assert!(text.len() < 1 << 20 && text.ends_with("The log has all of it.\n\n"));
    }
}
