//! The live view: one line a service that is redrawn, and above it what was achieved. A build's output is one line while
//! it goes well and is gone afterwards; of a step that fails the last lines stay.

use std::collections::HashMap;
use std::time::Duration;

use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::line::{Line, Tone};
use super::out::{Out, To};
use super::progress::{self, Run};
use super::stopped::Stopped;
use super::{live, plan, story, summary, words};
use crate::event::{Event, Kind, StepState};

const FRAMES: &[&str] = &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏", " "];
const FRAME: Duration = Duration::from_millis(100);

pub(super) struct Terminal {
    out: Out,
    verbose: u8,
    plan_is_answer: bool,
    run: Run,
    bars: MultiProgress,
    lanes: IndexMap<String, Lane>,
    /// An empty line above the live ones. The `^C` that a terminal echoes moves them all down by one, and what stays behind
    /// is their first line.
    head: Option<ProgressBar>,
    /// Columns that the longest service's name takes.
    name_width: usize,
    /// Whether the run is about one service.
    alone: bool,
    /// The last state told of each failed step, by service and id.
    told: HashMap<(String, String), StepState>,
    /// By service.
    stopped: HashMap<String, Stopped>,
}

/// The lines of one service.
struct Lane {
    main: ProgressBar,
    word: Option<ProgressBar>,
}

impl Terminal {
    pub(super) fn new(out: Out, verbose: u8, plan_is_answer: bool) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(15));
        Self {
            out,
            verbose,
            plan_is_answer,
            run: Run::default(),
            bars,
            lanes: IndexMap::new(),
            head: None,
            name_width: 0,
            alone: false,
            told: HashMap::new(),
            stopped: HashMap::new(),
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
        let service = progress::name_of(event).to_owned();
        if let Some(text) = self.run.of(&service).and_then(|progress| story::ended(progress, event)) {
            self.stay(&self.mark(Tone::Good, "✓", &service).plain(text));
        }
        self.run.apply(event);
        match &event.kind {
            Kind::Started { services, .. } => {
                self.name_width = services.iter().map(|name| name.chars().count()).max().unwrap_or(0);
                self.alone = services.len() == 1;
                for line in story::started(&event.kind) {
                    self.stay(&line);
                }
                self.stay(&Line::new());
            }
            Kind::Planned { plan } if self.plan_is_answer => {
                self.bars.suspend(|| plan::print(&self.out, plan));
            }
            Kind::Planned { plan } => {
                for line in plan::in_short(plan, self.verbose) {
                    self.stay(&Line::new().plain("  ").then(line).hanging(4));
                }
                for service in self.lanes.keys().cloned().collect::<Vec<_>>() {
                    self.redraw(&service);
                }
            }
            Kind::Stage { .. } => self.lane(&service).main.reset_elapsed(),
            Kind::BuildStep { id, name, state, seconds, error } => {
                if *state == StepState::Failed && self.told.insert((service.clone(), id.clone()), *state).is_none() {
                    let text = format!("{name}{}", story::step_ended(*state, *seconds, error.as_deref()));
                    self.stay(&self.mark(Tone::Bad, "✗", &service).plain(text));
                    self.stay_tail(&service, id);
                }
            }
            Kind::BuildLog { line, .. } if self.verbose > 0 => {
                self.stay(&self.mark(Tone::Dim, "│", &service).plain(line.clone()));
            }
            Kind::BuildPlaced { one_of_several: false, .. }
            | Kind::TagPushed { .. }
            | Kind::ImageSearched { .. }
            | Kind::RolloutStarted { .. }
            | Kind::ServiceEvent { .. }
                if self.verbose == 0 => {}
            Kind::TaskStopped { reason, exit_code, .. }
                if !self.stopped.entry(service.clone()).or_default().count(reason, *exit_code) => {}
            Kind::ServiceFinished { outcome } => {
                self.finish_lane(&service);
                for text in self.stopped.entry(service.clone()).or_default().others() {
                    self.stay(&self.mark(Tone::Dim, "·", &service).toned(Tone::Warning, text));
                }
                let (tone, sign) = match outcome.verdict {
                    verdict if verdict.is_good() => return,
                    // The summary that follows at once says it.
                    _ if self.alone => return,
                    _ => (Tone::Bad, "✗"),
                };
                self.stay(&self.mark(tone, sign, &service).toned(tone, outcome.verdict.as_str()));
            }
            Kind::Finished { exit_code, environment, services, .. } => {
                self.clear();
                summary::print(&self.out, &self.run, event.at, *exit_code, environment.as_deref(), services);
            }
            Kind::Asked { .. } => {
                self.clear();
                self.stay(&Line::new());
                for line in story::told(&event.kind) {
                    self.stay(&line);
                }
            }
            kind => {
                for line in story::told(kind) {
                    self.stay(&self.mark(Tone::Dim, "·", &service).then(line));
                }
            }
        }
        self.redraw(&service);
    }

    /// Prints a line above the live ones, for good.
    fn stay(&self, line: &Line) {
        // With nothing live, indicatif would leave the cursor at the end of what it printed.
        if self.lanes.is_empty() {
            return self.out.line(To::Talk, line);
        }
        for text in self.out.painted_lines(line) {
            // The only failure is a terminal that is gone; the deploy goes on.
            let _ = self.bars.println(text);
        }
    }

    fn stay_tail(&self, service: &str, id: &str) {
        let Some(step) = self.run.of(service).and_then(|progress| progress.steps.get(id)) else { return };
        if self.verbose > 0 {
            return;
        }
        for line in &step.tail {
            self.stay(&Line::new().dim("  │ ").plain(line.clone()).hanging(4));
        }
    }

    /// The start of a line that stays: a sign and the service's name.
    fn mark(&self, tone: Tone, sign: &str, service: &str) -> Line {
        let line = Line::new().toned(tone, sign).plain(" ");
        match service.is_empty() {
            true => line.hanging(4),
            false => line.strong(self.padded(service)).plain("  ").hanging(self.name_width + 4),
        }
    }

    fn padded(&self, service: &str) -> String {
        format!("{service:<width$}", width = self.name_width)
    }

    fn redraw(&mut self, service: &str) {
        let Some(progress) = self.run.of(service) else { return };
        let Some(lane) = self.lanes.get_mut(service) else { return };
        lane.main.set_message(self.out.painted(&live::doing(progress)));
        match live::newest_word(progress) {
            Some(word) => {
                let bar = lane.word.get_or_insert_with(|| {
                    let bar = self.bars.insert_after(&lane.main, ProgressBar::new_spinner());
                    bar.with_style(style("{prefix}{wide_msg}"))
                });
                bar.set_prefix(self.out.painted(&Line::new().plain(" ".repeat(self.name_width + 4)).dim("│ ")));
                bar.set_message(self.out.painted(&word));
            }
            None => {
                if let Some(word) = lane.word.take() {
                    word.finish_and_clear();
                    self.bars.remove(&word);
                }
            }
        }
    }

    fn lane(&mut self, service: &str) -> &Lane {
        if !self.lanes.contains_key(service) {
            self.head.get_or_insert_with(|| {
                let head = self.bars.add(ProgressBar::new_spinner()).with_style(style(" "));
                head.tick();
                head
            });
            let main =
                self.bars.add(ProgressBar::new_spinner()).with_style(style("{spinner} {prefix}{wide_msg} {took:>8}"));
            let name = if service.is_empty() { String::new() } else { format!("{}  ", self.padded(service)) };
            main.set_prefix(self.out.painted(&Line::new().strong(name)));
            main.enable_steady_tick(FRAME);
            self.lanes.insert(service.to_owned(), Lane { main, word: None });
        }
        &self.lanes[service]
    }

    fn finish_lane(&mut self, service: &str) {
        if let Some(lane) = self.lanes.shift_remove(service) {
            for bar in lane.word.iter().chain([&lane.main]) {
                bar.finish_and_clear();
                self.bars.remove(bar);
            }
        }
        if self.lanes.is_empty()
            && let Some(head) = self.head.take()
        {
            head.finish_and_clear();
            self.bars.remove(&head);
        }
    }

    fn clear(&mut self) {
        for service in self.lanes.keys().cloned().collect::<Vec<_>>() {
            self.finish_lane(&service);
        }
    }
}

/// A run that ends without its last event leaves no half-drawn line behind.
impl Drop for Terminal {
    fn drop(&mut self) {
        self.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; if one were wrong, the plain spinner is shown.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .tick_strings(FRAMES)
        .with_key("took", |state: &ProgressState, text: &mut dyn std::fmt::Write| {
            let _ = text.write_str(&words::seconds(state.elapsed().as_secs_f64()));
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{SharedRedactor, Surface, script};
    use crate::vars::Vars;

    /// Plays a recorded run at its own pace, to be looked at:
    /// `REPLAY=crash_loop cargo test --lib watch_a_run -- --ignored --nocapture`.
    #[test]
    #[ignore = "for the eye: takes as long as the run it plays"]
    fn watch_a_run() {
        let vars = Vars::of_process();
        let events = match vars.get("REPLAY") {
            Some("failed_build") => script::failed_build(),
            Some("crash_loop") => script::crash_loop(),
            _ => script::good_run(),
        };
        let mut terminal = Terminal::new(Out::new(Surface::of_process(&vars), SharedRedactor::default()), 0, false);
        let mut before = events[0].at;
        for event in events {
            std::thread::sleep(event.at.duration_since(before).unsigned_abs());
            before = event.at;
            terminal.event(&event);
        }
    }

    #[test]
    fn every_template_is_understood() {
        for template in ["{spinner} {prefix}{wide_msg} {took:>8}", "{prefix}{wide_msg}", " "] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
