//! What does not compile, and what is said about it.

use expect_test::expect;

use super::table;

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn errors_say_where_and_why() {
    let expressions = [
        "",
        "   ",
        "-- nothing",
        "a = ",
        "= 1",
        "a == 1",
        "a != 1",
        "a LIKE 'x%'",
        "a = 1 b = 2",
        "a = 1;",
        "a = 1 AND",
        "a AND OR b",
        "NOT",
        "(a = 1",
        "a = 1)",
        "()",
        "a + 1 = 2",
        "a.b = 1",
        "a-b = 1",
        "\"a\" = 1",
        "a = 'x",
        "a = 'x''",
        "a /* x",
        "a = 1 /*/",
        "5",
        "'x'",
        "1.5 AND TRUE",
        "-a",
        "NOT 5",
        "a = 1 OR 'x'",
        "a > 'x'",
        "'1' < a",
        "a > TRUE",
        "a > NULL",
        "NOT a > 5",
        "a > 1 > 2",
        "(a = 1) > 2",
        "a = NULL",
        "a <> NULL",
        "NULL = a",
        "TRUE = 5",
        "FALSE <> 'x'",
        "a IS 5",
        "a IS NOT 5",
        "a NOT 5",
        "a NOT = 5",
        "a BETWEEN 1",
        "a BETWEEN 1 OR 2",
        "a BETWEEN 10 AND 0",
        "a BETWEEN 1.5 AND 1",
        "a BETWEEN 'a' AND 'b'",
        "a BETWEEN NULL AND 2",
        "a and between 2 and 10",
        "a IN ()",
        "a IN (1, 2)",
        "a IN ('x'",
        "a IN ('x',)",
        "a IN 'x'",
        "'x' IN ('x')",
        "a = 1 IN ('x')",
        "a CONTAINS x",
        "a CONTAINS 123",
        "'axb' NOT CONTAINS ",
        "a STARTSWITH ('x')",
        "a = 007",
        "a = 5x",
        "a = 5E",
        "a = 0x1F",
        "a > 100000000000000000000000",
        "a > 9223372036854775808",
        "a > 1E400",
        "a = é",
    ];
    expect![[r#"
         => ! expected a property, a literal or `(`, found the end at 0
            => ! expected a property, a literal or `(`, found the end at 3
        -- nothing => ! expected a property, a literal or `(`, found the end at 10
        a =  => ! expected a property, a literal or `(`, found the end at 4
        = 1 => ! expected a property, a literal or `(`, found `=` at 0
        a == 1 => ! expected a property, a literal or `(`, found `=` at 3
        a != 1 => ! unexpected character `!` at 2
        a LIKE 'x%' => ! expected the end, AND or OR, found `LIKE` at 2
        a = 1 b = 2 => ! expected the end, AND or OR, found `b` at 6
        a = 1; => ! unexpected character `;` at 5
        a = 1 AND => ! expected a property, a literal or `(`, found the end at 9
        a AND OR b => ! expected a property, a literal or `(`, found OR at 6
        NOT => ! expected a property, a literal or `(`, found the end at 3
        (a = 1 => ! expected `)`, found the end at 6
        a = 1) => ! expected the end, AND or OR, found `)` at 5
        () => ! expected a property, a literal or `(`, found `)` at 1
        a + 1 = 2 => ! expected the end, AND or OR, found `+` at 2
        a.b = 1 => ! unexpected character `.` at 1
        a-b = 1 => ! expected the end, AND or OR, found `-` at 1
        "a" = 1 => ! unexpected character `"` at 0
        a = 'x => ! the text that begins at 4 has no end
        a = 'x'' => ! the text that begins at 4 has no end
        a /* x => ! the comment that begins at 2 has no end
        a = 1 /*/ => ! the comment that begins at 6 has no end
        5 => ! the part before 1 is no condition: compare it with something
        'x' => ! the part before 3 is no condition: compare it with something
        1.5 AND TRUE => ! the part before 8 is no condition: compare it with something
        -a => ! the part before 2 is no condition: compare it with something
        NOT 5 => ! the part before 5 is no condition: compare it with something
        a = 1 OR 'x' => ! the part before 12 is no condition: compare it with something
        a > 'x' => ! the part before 7 cannot be compared by `>`: only numbers and properties have an order
        '1' < a => ! the part before 7 cannot be compared by `<`: only numbers and properties have an order
        a > TRUE => ! the part before 8 cannot be compared by `>`: only numbers and properties have an order
        a > NULL => ! the part before 8 cannot be compared by `>`: only numbers and properties have an order
        NOT a > 5 => ! the part before 9 cannot be compared by `>`: it is a condition
        a > 1 > 2 => ! the part before 9 cannot be compared by `>`: it is a condition
        (a = 1) > 2 => ! the part before 11 cannot be compared by `>`: it is a condition
        a = NULL => ! the part before 4 cannot be compared by `=`: write IS NULL to look for a missing property
        a <> NULL => ! the part before 5 cannot be compared by `<>`: write IS NULL to look for a missing property
        NULL = a => ! the part before 7 cannot be compared by `=`: write IS NULL to look for a missing property
        TRUE = 5 => ! the part before 7 cannot be compared by `=`: TRUE and FALSE equal no other literal
        FALSE <> 'x' => ! the part before 9 cannot be compared by `<>`: TRUE and FALSE equal no other literal
        a IS 5 => ! expected NULL, found a number at 5
        a IS NOT 5 => ! expected NULL, found a number at 9
        a NOT 5 => ! expected the end, AND or OR, found NOT at 2
        a NOT = 5 => ! expected the end, AND or OR, found NOT at 2
        a BETWEEN 1 => ! expected AND between the bounds, found the end at 11
        a BETWEEN 1 OR 2 => ! expected AND between the bounds, found OR at 12
        a BETWEEN 10 AND 0 => ! BETWEEN before 18 can never be true: its first bound is above its second
        a BETWEEN 1.5 AND 1 => ! BETWEEN before 19 can never be true: its first bound is above its second
        a BETWEEN 'a' AND 'b' => ! the part before 21 cannot be compared by `>=`: only numbers and properties have an order
        a BETWEEN NULL AND 2 => ! the part before 20 cannot be compared by `>=`: only numbers and properties have an order
        a and between 2 and 10 => ! expected a property, a literal or `(`, found BETWEEN at 6
        a IN () => ! expected a text in single quotes, found `)` at 6
        a IN (1, 2) => ! expected a text in single quotes, found a number at 6
        a IN ('x' => ! expected `,` or `)` in the list, found the end at 9
        a IN ('x',) => ! expected a text in single quotes, found `)` at 10
        a IN 'x' => ! expected `(` before the list, found a text at 5
        'x' IN ('x') => ! the part before 7 cannot be compared by `IN`: only a property can be looked for in a list
        a = 1 IN ('x') => ! the part before 9 cannot be compared by `IN`: only a property can be looked for in a list
        a CONTAINS x => ! expected a text in single quotes, found `x` at 11
        a CONTAINS 123 => ! expected a text in single quotes, found a number at 11
        'axb' NOT CONTAINS  => ! expected a text in single quotes, found the end at 19
        a STARTSWITH ('x') => ! expected a text in single quotes, found `(` at 13
        a = 007 => ! `007` at 4 is no number: integers have 64 bits and no leading zero, others are finite doubles
        a = 5x => ! expected the end, AND or OR, found `x` at 5
        a = 5E => ! expected the end, AND or OR, found `E` at 5
        a = 0x1F => ! expected the end, AND or OR, found `x1F` at 5
        a > 100000000000000000000000 => ! `100000000000000000000000` at 4 is no number: integers have 64 bits and no leading zero, others are finite doubles
        a > 9223372036854775808 => ! `9223372036854775808` at 4 is no number: integers have 64 bits and no leading zero, others are finite doubles
        a > 1E400 => ! `1E400` at 4 is no number: integers have 64 bits and no leading zero, others are finite doubles
        a = é => ! unexpected character `é` at 4
    "#]].assert_eq(&table(&[""], &expressions));
}
