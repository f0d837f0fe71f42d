package kit;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Messages and filters of the cases of both protocols, and which message passes which filter. */
public final class Filters {
    /** Of one message each, whose body is its tag. "Aa" and "BB" have one hash in Java. */
    public static final List<String> TAGS = List.of("Aa", "BB", "red", "green", "last");
    public static final Map<String, List<String>> TAG_EXPRESSIONS = new LinkedHashMap<>();

    /** Body, and properties. */
    public static final Map<String, Map<String, String>> MESSAGES = new LinkedHashMap<>();
    public static final Map<String, List<String>> SQL_EXPRESSIONS = new LinkedHashMap<>();

    public static final List<String> BROKEN =
        List.of("price >", "(price = 1", "price > 'ten'", "price == 1", "price IN (1, 2)", "= 5");

    static {
        TAG_EXPRESSIONS.put("Aa || last", List.of("Aa", "last"));
        TAG_EXPRESSIONS.put("BB||last", List.of("BB", "last"));
        TAG_EXPRESSIONS.put("red || unknown || green || last", List.of("red", "green", "last"));
        TAG_EXPRESSIONS.put("*", TAGS);

        MESSAGES.put("cheap", Map.of("price", "5", "shape", "round"));
        MESSAGES.put("dear", Map.of("price", "15.5", "shape", "square", "TAGS", "blue"));
        MESSAGES.put("shapeless", Map.of("price", "25"));
        MESSAGES.put("priceless", Map.of("shape", "round"));
        MESSAGES.put("strange", Map.of("price", "much", "shape", "it's"));
        MESSAGES.put("last", Map.of("end", "yes"));

        sql("price > 10.0", "dear", "shapeless");
        sql("price >= 5.0 AND price < 20.0", "cheap", "dear");
        sql("price BETWEEN 5.0 AND 15.5", "cheap", "dear");
        sql("price NOT BETWEEN 5.0 AND 15.5", "shapeless");
        sql("shape = 'round'", "cheap", "priceless");
        sql("shape <> 'round'", "dear", "strange");
        sql("shape IN ('square', 'it''s')", "dear", "strange");
        sql("shape NOT IN ('square', 'round')", "strange");
        sql("shape IS NULL AND price IS NOT NULL", "shapeless");
        sql("NOT (shape = 'round') AND price IS NOT NULL", "dear", "strange");
        sql("shape CONTAINS 'qua' OR shape STARTSWITH 'it'", "dear", "strange");
        sql("TAGS = 'blue'", "dear");
    }

    private Filters() {
    }

    /** So that the last message, which every filter takes, tells that all before it were offered. */
    public static String orLast(String expression) {
        return "end = 'yes' OR (" + expression + ")";
    }

    private static void sql(String expression, String... bodies) {
        String[] all = java.util.Arrays.copyOf(bodies, bodies.length + 1);
        all[bodies.length] = "last";
        SQL_EXPRESSIONS.put(expression, List.of(all));
    }
}
