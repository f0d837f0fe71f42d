package sql;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.rocketmq.filter.expression.EvaluationContext;
import org.apache.rocketmq.filter.expression.Expression;
import org.apache.rocketmq.filter.parser.SelectorParser;

/**
 * What the original's filter library says of expressions and properties.
 *
 * <pre>
 * expression TAB name=value TAB name=value ...     one line in; \\ \t \n \r are escaped
 * true | false | unknown | incomparable | refused  one line out
 * </pre>
 */
public final class Main {
    public static void main(String[] arguments) throws Exception {
        BufferedReader questions = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintWriter answers = new PrintWriter(
            new BufferedWriter(new OutputStreamWriter(System.out, StandardCharsets.UTF_8)));
        for (String line = questions.readLine(); line != null; line = questions.readLine()) {
            answers.println(answer(line.split("\t", -1)));
        }
        answers.flush();
    }

    private static String answer(String[] fields) {
        Expression expression;
        try {
            expression = SelectorParser.parse(unescaped(fields[0]));
        } catch (Throwable refused) {
            return "refused";
        }
        Map<String, Object> properties = new HashMap<>();
        for (int index = 1; index < fields.length; index++) {
            String field = unescaped(fields[index]);
            int end = field.indexOf('=');
            properties.put(field.substring(0, end), field.substring(end + 1));
        }
        try {
            Object value = expression.evaluate(new Properties(properties));
            return value instanceof Boolean ? value.toString() : "unknown";
        } catch (Throwable incomparable) {
            // The broker logs it and does not deliver.
            return "incomparable";
        }
    }

    private static String unescaped(String text) {
        StringBuilder plain = new StringBuilder();
        for (int index = 0; index < text.length(); index++) {
            char character = text.charAt(index);
            if (character == '\\') {
                index++;
                character = switch (text.charAt(index)) {
                    case 't' -> '\t';
                    case 'n' -> '\n';
                    case 'r' -> '\r';
                    default -> text.charAt(index);
                };
            }
            plain.append(character);
        }
        return plain.toString();
    }

    private record Properties(Map<String, Object> values) implements EvaluationContext {
        @Override
        public Object get(String name) {
            return values.get(name);
        }

        @Override
        public Map<String, Object> keyValues() {
            return values;
        }
    }
}
