//! Profiles of this test's own process, where the system allows them; and what is made of known stacks.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use super::images::{Images, Mapping, Starts};
use super::*;
use crate::{Clock, SystemClock, SystemSpawn};

#[inline(never)]
fn spend_time(until: Duration) -> u64 {
    let begun = SystemClock.monotonic();
    let mut sum = 0_u64;
    while SystemClock.monotonic().saturating_sub(begun) < until {
        sum = (0..10_000).fold(sum, |sum: u64, n| std::hint::black_box(sum.wrapping_mul(31) ^ n));
    }
    sum
}

#[inline(never)]
fn call_what_spends_time() -> u64 {
    std::hint::black_box(spend_time(Duration::from_millis(600))) + 1
}

#[tokio::test]
async fn what_takes_time_is_in_the_profile_and_there_is_one_at_a_time() {
    if let Err(error) = watch::ask() {
        assert!(
            matches!(&error, ProfileError::Refused(text) if text.contains("perf_event_paranoid")),
            "{error}"
        );
        let refused = Profiling::begin(&SystemSpawn).await.expect_err("as it was told");
        assert!(matches!(refused, ProfileError::Refused(_)), "{refused}");
        return;
    }
    let profiling = Profiling::begin(&SystemSpawn).await.expect("it is allowed");
    assert!(matches!(Profiling::begin(&SystemSpawn).await, Err(ProfileError::Busy)));
    // A thread that comes later is followed as well.
    let later = std::thread::Builder::new().name("later".to_owned()).spawn(call_what_spends_time);
    std::hint::black_box(call_what_spends_time());
    later.expect("started").join().expect("it ends");
    let profile = profiling.finish().await.expect("its thread ends in order");
    assert!(profile.looks > 10, "{profile:?}");
    let both = "call_what_spends_time;base::profile::tests::spend_time";
    let of = |thread: &str| {
        profile
            .folded
            .lines()
            .any(|line| line.starts_with(thread) && line.contains(both) && !line.contains("[cut]"))
    };
    assert!(of("later;") && of(""), "{}", profile.folded);
    let sum: u64 =
        profile.folded.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
    assert_eq!(sum, profile.looks);
    // Dropped, it ends: the thread sees it at its next reading.
    drop(Profiling::begin(&SystemSpawn).await.expect("the turn came back"));
    for _ in 0..500 {
        match Profiling::begin(&SystemSpawn).await {
            Err(ProfileError::Busy) => SystemClock.sleep(Duration::from_millis(10)).await,
            other => return drop(other.expect("again")),
        }
    }
    panic!("a dropped profile does not end");
}

#[test]
fn a_refusal_says_what_to_allow() {
    let text = watch::refusal(&io::Error::from_raw_os_error(1), "3");
    for part in
        ["Operation not permitted", "CAP_PERFMON", "seccomp", "perf_event_paranoid to 2 or less (it is 3)"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert!(watch::refusal(&io::Error::from_raw_os_error(38), "").contains("unknown here"));
}

#[test]
fn stacks_become_lines() {
    let stack = |thread: &str, frames: &[u64], is_whole| Stack {
        thread: thread.into(),
        frames: frames.into(),
        is_whole,
    };
    let stacks = HashMap::from([
        (stack("worker", &[3, 2, 1], true), 5),
        // Another place in the same function.
        (stack("worker", &[30, 2, 1], true), 2),
        (stack("worker", &[2, 1], true), 1),
        (stack("group", &[3, 2], false), 4),
    ]);
    let name = |address: &u64| match address {
        1 => "main",
        2 => "work",
        _ => "<T as Wait>::wait",
    };
    let all =
        "group;[cut];work;<T as Wait>::wait 4\nworker;main;work 1\nworker;main;work;<T as Wait>::wait 7\n";
    assert_eq!(names::fold(&stacks, 0, name, 1_000), all);
    let cut = "worker;main;work;<T as Wait>::wait 7\n[others] 8\n";
    assert_eq!(names::fold(&stacks, 3, name, 100), cut);
    assert_eq!(names::fold(&HashMap::new(), 0, name, 100), "");
}

#[test]
fn names_are_readable_and_have_no_signs_of_the_text() {
    assert_eq!(names::readable("_ZN4base5spawn5spawn17h0123456789abcdefE"), "base::spawn::spawn");
    assert_eq!(names::readable("memcpy"), "memcpy");
    assert_eq!(names::plain("f<[u8; 4]>\n"), "f<[u8, 4]> ");
    let long = names::plain(&"\u{fc}".repeat(500));
    assert!(long.len() <= 243 && long.ends_with("..."), "{long}");
}

#[test]
fn the_executed_mappings_are_found() {
    let line = "55d0c0a00000-55d0c1b00000 r-xp 00a00000 fe:00 4711                       /opt/a b/apogee";
    let mapping = Mapping::executable(line).expect("it is executed");
    let path = "/opt/a b/apogee";
    let range = 0x55d0_c0a0_0000..0x55d0_c1b0_0000;
    assert_eq!(mapping, Mapping { range, offset: 0xa0_0000, inode: 4711, path });
    assert_eq!(Mapping::executable("7ffd1000-7ffd2000 rw-p 00000000 00:00 0    [stack]"), None);
    assert_eq!(Mapping::executable(""), None);
}

#[test]
fn a_function_without_a_name_is_told_by_its_beginning() {
    let mut table = vec![1, 0x1b, 0x03, 0x3b, 9, 9, 9, 9, 2, 0, 0, 0];
    for begin in [-0x200_i32, 0x100] {
        table.extend(begin.to_ne_bytes());
        table.extend([9; 4]);
    }
    let starts = Starts { address: 0x1000, table: table.into() };
    let at = [0xdff, 0xe00, 0x10ff, 0x1100, 0x9999].map(|address| starts.before(address));
    assert_eq!(at, [None, Some(0xe00), Some(0xe00), Some(0x1100), Some(0x1100)]);
    for bad in [&b""[..], &[1, 0x1b, 3, 0x3b, 0, 0, 0, 0, 255, 255, 255, 255], &[2; 40]] {
        assert_eq!(Starts { address: 0, table: bad.into() }.before(5), None);
    }
}

#[test]
fn our_own_functions_have_their_names_and_what_has_none_its_place() {
    let images = Images::of_this_process();
    let known = call_what_spends_time as fn() -> u64 as usize as u64;
    let names = images.names([known, known + 1, 8].into_iter());
    assert_eq!(names[&known], "base::profile::tests::call_what_spends_time");
    assert_eq!(names[&(known + 1)], names[&known]);
    assert!(!names.contains_key(&8));
}
