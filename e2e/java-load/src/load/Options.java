package load;

import java.util.HashMap;
import java.util.Map;

/** What this run is to do: {@code WORK key=value...}, and where, from the environment. */
public final class Options {
    public static final String NAMESRV = System.getenv("NAMESRV");
    public static final String ENDPOINT = System.getenv("ENDPOINT");
    public static final String TOPIC = System.getenv("TOPIC");
    public static final String GROUP = System.getenv("GROUP");

    public final String work;
    private final Map<String, String> values = new HashMap<>();

    public Options(String[] arguments) {
        work = arguments[0];
        for (int index = 1; index < arguments.length; index++) {
            int equals = arguments[index].indexOf('=');
            values.put(arguments[index].substring(0, equals), arguments[index].substring(equals + 1));
        }
    }

    public String text(String key) {
        String value = values.get(key);
        if (value == null) {
            throw new IllegalArgumentException(work + " needs " + key);
        }
        return value;
    }

    public int number(String key) {
        return Integer.parseInt(text(key));
    }
}
