package kit;

import java.util.Map;
import java.util.Set;

/** A received message, whichever client received it. The first attempt is 1. */
public record Letter(
    String body, String tag, Set<String> keys, Map<String, String> properties, int attempt, String id) {
}
