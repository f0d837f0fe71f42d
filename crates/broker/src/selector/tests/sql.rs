//! What expressions say of messages. Each block names its messages first.

use expect_test::{Expect, expect};

use super::table;

#[expect(clippy::needless_pass_by_value, reason = "so that the expected text ends the call")]
fn check(messages: &[&str], expressions: &[&str], expected: Expect) {
    expected.assert_eq(&table(messages, expressions));
}

#[test]
fn numbers() {
    let messages = ["a=5", "a=10", "a=abc", "b=1"];
    let expressions = [
        "a = 5",
        "a <> 5",
        "a > 5",
        "a >= 5",
        "a < 10",
        "a <= 5L",
        "a = +5",
        "a = 5.0",
        "a > 4.5",
        "a > .5",
        "a > 5.",
        "a > 5.5E0",
        "a > 5E-1",
        "5 < a",
        "10 = a",
        "a > -1",
        "a < - - 6",
        "-a < 0",
        "a = 5 OR TRUE",
        "TRUE OR a = 5",
    ];
    check(
        &messages,
        &expressions,
        expect![[r#"
        a = 5 => True, False, Incomparable, Unknown
        a <> 5 => False, True, Incomparable, Unknown
        a > 5 => False, True, Incomparable, Unknown
        a >= 5 => True, True, Incomparable, Unknown
        a < 10 => True, False, Incomparable, Unknown
        a <= 5L => True, False, Incomparable, Unknown
        a = +5 => True, False, Incomparable, Unknown
        a = 5.0 => True, False, Incomparable, Unknown
        a > 4.5 => True, True, Incomparable, Unknown
        a > .5 => True, True, Incomparable, Unknown
        a > 5. => False, True, Incomparable, Unknown
        a > 5.5E0 => False, True, Incomparable, Unknown
        a > 5E-1 => True, True, Incomparable, Unknown
        5 < a => False, True, Incomparable, Unknown
        10 = a => False, True, Incomparable, False
        a > -1 => True, True, Incomparable, Unknown
        a < - - 6 => True, False, Incomparable, Unknown
        -a < 0 => Unknown, Unknown, Unknown, Unknown
        a = 5 OR TRUE => True, True, Incomparable, True
        TRUE OR a = 5 => True, True, True, True
    "#]],
    );
}

#[test]
fn numbers_in_texts() {
    let messages =
        ["a=+7", "a=7.0", "a=7f", "a=_7_", "a=3000000000", "a=99999999999999999999", "a=NaN", "a=-Infinity"];
    let expressions = ["a > 5", "a > 5.0", "a = 7", "a = 7.0", "a > 3000000000", "a < 0.0", "a = a"];
    check(
        &messages,
        &expressions,
        expect![[r#"
        a > 5 => True, Incomparable, Incomparable, Incomparable, True, Incomparable, Incomparable, Incomparable
        a > 5.0 => True, True, True, True, True, True, True, False
        a = 7 => True, Incomparable, Incomparable, Incomparable, False, Incomparable, Incomparable, Incomparable
        a = 7.0 => True, True, True, True, False, False, False, False
        a > 3000000000 => False, Incomparable, Incomparable, Incomparable, False, Incomparable, Incomparable, Incomparable
        a < 0.0 => False, False, False, False, False, False, False, True
        a = a => True, True, True, True, True, True, True, True
    "#]],
    );
}

#[test]
fn properties_with_properties() {
    let messages = ["a=5 b=10", "a=10 b=9", "a=x b=x", "a=5 b=5.0", "a=1", "b=1", "c=1"];
    let expressions =
        ["a = b", "a <> b", "a > b", "a <= b", "a BETWEEN b AND 10", "a BETWEEN 0 AND b", "a = b = TRUE"];
    check(
        &messages,
        &expressions,
        expect![[r#"
        a = b => False, False, True, False, False, Unknown, True
        a <> b => True, True, False, True, True, Unknown, False
        a > b => False, True, Incomparable, False, Unknown, Unknown, Unknown
        a <= b => True, False, Incomparable, True, Unknown, Unknown, Unknown
        a BETWEEN b AND 10 => False, True, Incomparable, True, Unknown, Unknown, Unknown
        a BETWEEN 0 AND b => True, False, Incomparable, True, Unknown, Unknown, Unknown
        a = b = TRUE => False, False, True, False, False, Unknown, True
    "#]],
    );
}

#[test]
fn texts() {
    let messages = ["a=abc", "a=it's", "a=5", "b=1"];
    let expressions = [
        "a = 'abc'",
        "a <> 'abc'",
        "a = 'it''s'",
        "a = '5'",
        "'abc' = a",
        "'5' = 5",
        "'x' = 'x'",
        "'x' <> 'y'",
        "a = ''",
        "A = 'abc'",
    ];
    check(
        &messages,
        &expressions,
        expect![[r#"
        a = 'abc' => True, False, False, Unknown
        a <> 'abc' => False, True, True, Unknown
        a = 'it''s' => False, True, False, Unknown
        a = '5' => False, False, True, Unknown
        'abc' = a => True, False, False, False
        '5' = 5 => True, True, True, True
        'x' = 'x' => True, True, True, True
        'x' <> 'y' => True, True, True, True
        a = '' => False, False, False, Unknown
        A = 'abc' => Unknown, Unknown, Unknown, Unknown
    "#]],
    );
}

#[test]
fn truths() {
    let messages = ["a=true", "a=TRUE", "a=false", "a=yes", "b=1"];
    let expressions = [
        "a",
        "NOT a",
        "a = TRUE",
        "a <> TRUE",
        "a = false",
        "TRUE = a",
        "TRUE",
        "FALSE",
        "NULL",
        "NOT NULL",
        "NOT FALSE",
        "TRUE = TRUE",
        "5 = TRUE",
        "(a = TRUE) = TRUE",
        "NOT a = TRUE",
        "a IS NULL = FALSE",
    ];
    check(
        &messages,
        &expressions,
        expect![[r#"
        a => False, False, False, False, Unknown
        NOT a => True, True, True, True, Unknown
        a = TRUE => True, True, False, False, Unknown
        a <> TRUE => False, False, True, True, Unknown
        a = false => False, False, True, True, Unknown
        TRUE = a => True, True, False, False, False
        TRUE => True, True, True, True, True
        FALSE => False, False, False, False, False
        NULL => Unknown, Unknown, Unknown, Unknown, Unknown
        NOT NULL => Unknown, Unknown, Unknown, Unknown, Unknown
        NOT FALSE => True, True, True, True, True
        TRUE = TRUE => True, True, True, True, True
        5 = TRUE => False, False, False, False, False
        (a = TRUE) = TRUE => True, True, False, False, Unknown
        NOT a = TRUE => True, True, True, True, Unknown
        a IS NULL = FALSE => True, True, True, True, False
    "#]],
    );
}

#[test]
fn missing_properties() {
    let messages = ["a=1", "b=1", "a=1 b=1"];
    let expressions = [
        "a IS NULL",
        "a IS NOT NULL",
        "NOT (a IS NULL)",
        "(a = 1) IS NULL",
        "(a > 1) IS NOT NULL",
        "NULL IS NULL",
        "5 IS NULL",
        "a = 1",
        "a <> 2",
        "a > 0",
        "-a > 0",
        "-a IS NULL",
        "a IN ('1')",
        "a NOT IN ('2')",
        "a BETWEEN 0 AND 2",
        "a NOT BETWEEN 2 AND 3",
        "a CONTAINS '1'",
        "a NOT CONTAINS '2'",
        "NOT (a CONTAINS '2')",
    ];
    check(
        &messages,
        &expressions,
        expect![[r#"
        a IS NULL => False, True, False
        a IS NOT NULL => True, False, True
        NOT (a IS NULL) => True, False, True
        (a = 1) IS NULL => False, True, False
        (a > 1) IS NOT NULL => True, False, True
        NULL IS NULL => True, True, True
        5 IS NULL => False, False, False
        a = 1 => True, Unknown, True
        a <> 2 => True, Unknown, True
        a > 0 => True, Unknown, True
        -a > 0 => Unknown, Unknown, Unknown
        -a IS NULL => True, True, True
        a IN ('1') => True, Unknown, True
        a NOT IN ('2') => True, Unknown, True
        a BETWEEN 0 AND 2 => True, Unknown, True
        a NOT BETWEEN 2 AND 3 => True, Unknown, True
        a CONTAINS '1' => True, False, True
        a NOT CONTAINS '2' => True, False, True
        NOT (a CONTAINS '2') => True, True, True
    "#]],
    );
}

#[test]
fn three_values_of_logic() {
    let messages = ["t=true f=false"];
    let expressions = [
        "TRUE AND TRUE",
        "TRUE AND FALSE",
        "TRUE AND NULL",
        "FALSE AND NULL",
        "NULL AND FALSE",
        "NULL AND NULL",
        "TRUE OR NULL",
        "NULL OR TRUE",
        "FALSE OR NULL",
        "NULL OR FALSE",
        "FALSE OR FALSE",
        "NOT (NULL AND TRUE)",
        "NOT (NULL OR TRUE)",
        "FALSE AND FALSE OR TRUE",
        "FALSE AND (FALSE OR TRUE)",
        "TRUE OR FALSE AND FALSE",
        "NULL AND NULL AND FALSE",
        "t = TRUE AND f = FALSE",
        "FALSE AND t > 5",
        "t > 5 AND FALSE",
        "TRUE OR t > 5",
        "NULL OR t > 5",
    ];
    check(
        &messages,
        &expressions,
        expect![[r#"
        TRUE AND TRUE => True
        TRUE AND FALSE => False
        TRUE AND NULL => Unknown
        FALSE AND NULL => False
        NULL AND FALSE => False
        NULL AND NULL => Unknown
        TRUE OR NULL => True
        NULL OR TRUE => True
        FALSE OR NULL => Unknown
        NULL OR FALSE => Unknown
        FALSE OR FALSE => False
        NOT (NULL AND TRUE) => Unknown
        NOT (NULL OR TRUE) => False
        FALSE AND FALSE OR TRUE => True
        FALSE AND (FALSE OR TRUE) => False
        TRUE OR FALSE AND FALSE => True
        NULL AND NULL AND FALSE => False
        t = TRUE AND f = FALSE => True
        FALSE AND t > 5 => False
        t > 5 AND FALSE => Incomparable
        TRUE OR t > 5 => True
        NULL OR t > 5 => Incomparable
    "#]],
    );
}

#[test]
fn ranges() {
    let messages = ["a=2", "a=5", "a=10", "a=11", "a=x", "b=1"];
    let expressions = [
        "a BETWEEN 2 AND 10",
        "a NOT BETWEEN 2 AND 10",
        "a between 2.5 and 10.5",
        "a BETWEEN -5 AND -10",
        "a NOT BETWEEN 10 AND 2",
        "a BETWEEN 5 AND 5",
        "a BETWEEN 2 AND 10 AND a <> 5",
        "5 BETWEEN 2 AND a",
    ];
    check(
        &messages,
        &expressions,
        expect![[r#"
        a BETWEEN 2 AND 10 => True, True, True, False, Incomparable, Unknown
        a NOT BETWEEN 2 AND 10 => False, False, False, True, Incomparable, Unknown
        a between 2.5 and 10.5 => False, True, True, False, Incomparable, Unknown
        a BETWEEN -5 AND -10 => False, False, False, False, Incomparable, Unknown
        a NOT BETWEEN 10 AND 2 => True, True, True, True, Incomparable, Unknown
        a BETWEEN 5 AND 5 => False, True, False, False, Incomparable, Unknown
        a BETWEEN 2 AND 10 AND a <> 5 => True, False, True, False, Incomparable, Unknown
        5 BETWEEN 2 AND a => False, True, True, True, Incomparable, Unknown
    "#]],
    );
}

#[test]
fn lists() {
    let messages = ["a=x", "a=z", "a=1", "b=x"];
    let expressions = [
        "a IN ('x', 'y')",
        "a in ('x','x')",
        "a NOT IN ('x', 'y')",
        "(a) IN ('1')",
        "+a IN ('1')",
        "a IN ('5','4','3','2','1','0')",
        "NOT (a IN ('x'))",
        "a IN ('x') OR b IN ('x')",
    ];
    check(
        &messages,
        &expressions,
        expect![[r#"
        a IN ('x', 'y') => True, False, False, Unknown
        a in ('x','x') => True, False, False, Unknown
        a NOT IN ('x', 'y') => False, True, True, Unknown
        (a) IN ('1') => False, False, True, Unknown
        +a IN ('1') => False, False, True, Unknown
        a IN ('5','4','3','2','1','0') => False, False, True, Unknown
        NOT (a IN ('x')) => False, True, True, Unknown
        a IN ('x') OR b IN ('x') => True, Unknown, Unknown, True
    "#]],
    );
}

#[test]
fn parts_of_texts() {
    let messages = ["a=axb", "a=b", "a=x", "a=5", "b=axb"];
    let expressions = [
        "a CONTAINS 'x'",
        "a NOT CONTAINS 'x'",
        "a startswith 'ax'",
        "a NOT StartsWith 'ax'",
        "a ENDSWITH 'xb'",
        "a NOT ENDSWITH 'xb'",
        "a CONTAINS ''",
        "a NOT CONTAINS ''",
        "a ENDSWITH ''",
        "'axb' CONTAINS 'x'",
        "5 CONTAINS '5'",
        "-a CONTAINS '5'",
        "a CONTAINS '.'",
        "a CONTAINS 'x' = FALSE",
    ];
    check(
        &messages,
        &expressions,
        expect![[r#"
        a CONTAINS 'x' => True, False, True, False, False
        a NOT CONTAINS 'x' => False, True, False, True, False
        a startswith 'ax' => True, False, False, False, False
        a NOT StartsWith 'ax' => False, True, True, True, False
        a ENDSWITH 'xb' => True, False, False, False, False
        a NOT ENDSWITH 'xb' => False, True, True, True, False
        a CONTAINS '' => False, False, False, False, False
        a NOT CONTAINS '' => False, False, False, False, False
        a ENDSWITH '' => False, False, False, False, False
        'axb' CONTAINS 'x' => True, True, True, True, True
        5 CONTAINS '5' => False, False, False, False, False
        -a CONTAINS '5' => False, False, False, False, False
        a CONTAINS '.' => False, False, False, False, False
        a CONTAINS 'x' = FALSE => False, True, False, True, True
    "#]],
    );
}

#[test]
fn form() {
    let messages = ["a=1 b=2 $c_1=3 select=4 TAGS='t'"];
    let expressions = [
        "  a\t=\n1\r\u{c}",
        "a=1and b=2",
        "a = 1 -- and b = 3",
        "a = 1 -- no\n and b = 2",
        "a /* one */ = /* * two **/ 1",
        "a/**/=/***/1",
        "((((a = 1))))",
        "$c_1 = 3",
        "select = 4",
        "TAGS = '''t'''",
        "NoT a IS nOt NuLl oR tRuE",
        "a = 1 AND b <> 3 AND c IS NULL AND select <= 4",
        "a = 0L",
        "a = 1 AND NOT (b = 1 OR b = 3)",
        "a>0AND a<2",
        "a = 1--1",
        "a < 1 - - 1",
    ];
    check(
        &messages,
        &expressions,
        expect![[r#"
              a~=~1~~ => True
            a=1and b=2 => True
            a = 1 -- and b = 3 => True
            a = 1 -- no~ and b = 2 => True
            a /* one */ = /* * two **/ 1 => True
            a/**/=/***/1 => True
            ((((a = 1)))) => True
            $c_1 = 3 => True
            select = 4 => True
            TAGS = '''t''' => True
            NoT a IS nOt NuLl oR tRuE => True
            a = 1 AND b <> 3 AND c IS NULL AND select <= 4 => True
            a = 0L => ! expected the end, AND or OR, found `L` at 5
            a = 1 AND NOT (b = 1 OR b = 3) => True
            a>0AND a<2 => True
            a = 1--1 => True
            a < 1 - - 1 => ! expected the end, AND or OR, found `-` at 6
        "#]],
    );
}

#[test]
fn the_first_of_equal_properties_counts() {
    check(
        &["a=1 a=2"],
        &["a = 1"],
        expect![[r#"
        a = 1 => True
    "#]],
    );
}
