//! Where the time of a run went: programs, and the slowest cases.
use std::time::Duration;

const SLOWEST_SHOWN: usize = 12;

#[derive(Default)]
pub(super) struct Times {
    courses: Vec<Course>,
}

/// One program's time; cases side by side add up to more than it.
pub(super) struct Course {
    pub(super) client: &'static str,
    pub(super) took: Duration,
    pub(super) cases: Vec<(String, Duration)>,
}

impl Times {
    pub(super) fn add(&mut self, course: Course) {
        self.courses.push(course);
    }

    pub(super) fn print(&self, whole: Duration) {
        println!();
        println!("{:20} {:>5} {:>9} {:>12}", "program", "cases", "took", "sum of cases");
        let mut courses: Vec<&Course> = self.courses.iter().collect();
        courses.sort_by_key(|course| std::cmp::Reverse(course.took));
        for course in &courses {
            let sum: Duration = course.cases.iter().map(|(_, took)| *took).sum();
            let (client, count) = (course.client, course.cases.len());
            println!(
                "{client:20} {count:>5} {:>7.1} s {:>10.1} s",
                course.took.as_secs_f32(),
                sum.as_secs_f32()
            );
        }
        println!("{:20} {:>5} {:>7.1} s", "all", self.count(), whole.as_secs_f32());
        let mut cases: Vec<(&Duration, &str, &str)> = Vec::with_capacity(self.count());
        for course in &courses {
            cases.extend(course.cases.iter().map(|(case, took)| (took, course.client, case.as_str())));
        }
        cases.sort_by(|a, b| b.cmp(a));
        let slowest: Vec<String> = cases
            .iter()
            .take(SLOWEST_SHOWN)
            .map(|(took, client, case)| format!("{client} {case} {:.1} s", took.as_secs_f32()))
            .collect();
        println!("slowest: {}", slowest.join(", "));
    }

    fn count(&self) -> usize {
        self.courses.iter().map(|course| course.cases.len()).sum()
    }
}
