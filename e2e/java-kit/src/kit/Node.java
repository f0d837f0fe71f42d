package kit;

import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What the node tells over HTTP: only Apogee does. */
public final class Node {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();
    private static final Duration PAUSE = Duration.ofMillis(200);
    private static final Pattern STEPS = Pattern.compile("\"steps\":\\[(.*?)]");
    private static final Pattern STEP = Pattern.compile("\\{[^{}]*}");

    private Node() {
    }

    /** Something that happened to a message. */
    public record Step(long atMs, String name, String group, Integer attempt, String result) {
    }

    public static String get(String path) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("HTTP") + path)).build();
        HttpResponse<String> answer = CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new AssertionError(path + " was answered " + answer.statusCode() + ": " + answer.body());
        }
        return answer.body();
    }

    /** The value of `name{labels}`, whatever other labels stand in front of these. */
    public static OptionalDouble metric(String series) throws Exception {
        String name = series.substring(0, series.indexOf('{') + 1);
        String labels = series.substring(series.indexOf('{') + 1) + " ";
        return get("/metrics").lines()
            .filter(line -> line.startsWith(name) && line.contains(labels))
            .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
            .findFirst();
    }

    /** The steps of a message's life, once there are so many, or at the end of patience. */
    static List<Step> life(String topic, String id, int count, Duration patience) throws Exception {
        String path = "/api/v1/trace?topic=" + encoded(topic) + "&message_id=" + encoded(id);
        long end = System.nanoTime() + patience.toNanos();
        while (true) {
            List<Step> steps = steps(get(path));
            if (steps.size() >= count || System.nanoTime() > end) {
                return steps;
            }
            Thread.sleep(PAUSE.toMillis());
        }
    }

    private static String encoded(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }

    private static List<Step> steps(String answer) {
        List<Step> steps = new ArrayList<>();
        Matcher all = STEPS.matcher(answer);
        Matcher each = STEP.matcher(all.find() ? all.group(1) : "");
        while (each.find()) {
            String step = each.group();
            String attempt = field(step, "attempt");
            steps.add(new Step(
                Long.parseLong(field(step, "at_ms")),
                field(step, "step"),
                field(step, "group"),
                attempt == null ? null : Integer.valueOf(attempt),
                field(step, "result")));
        }
        return steps;
    }

    /** A field of a flat object; null where it is none. */
    private static String field(String object, String name) {
        Matcher found = Pattern.compile("\"" + name + "\":(?:\"([^\"]*)\"|(-?[0-9]+))").matcher(object);
        if (!found.find()) {
            return null;
        }
        return found.group(1) != null ? found.group(1) : found.group(2);
    }
}
