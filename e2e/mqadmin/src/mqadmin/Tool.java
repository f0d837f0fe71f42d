package mqadmin;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import kit.Account;
import kit.Harness;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.remoting.RPCHook;
import org.apache.rocketmq.tools.command.MQAdminStartup;
import org.apache.rocketmq.tools.command.SubCommand;

/** `mqadmin` itself, called as its script calls it, and what it printed. */
final class Tool {
    private static final long PATIENCE_MS = 60_000;
    private static final PrintStream LOG = System.err;
    private static final Set<String> CALLED = ConcurrentHashMap.newKeySet();

    private Tool() {
    }

    /** Commands sign as this file says, where there is one: it must be there before the first command is run. */
    static void signIn() throws Exception {
        if (Account.isAsked()) {
            Path home = Files.createTempDirectory("mqadmin");
            Path settings = Files.createDirectories(home.resolve("conf")).resolve("tools.yml");
            Files.writeString(settings, "accessKey: " + Account.own().key() + "\nsecretKey: " + Account.own().secret() + "\n");
            System.setProperty("rocketmq.home.dir", home.toString());
        }
    }

    /** For clients that the cases use themselves. */
    static RPCHook hook() {
        return Account.isAsked() ? hook(Account.own()) : null;
    }

    static RPCHook hook(Account account) {
        return new AclClientRPCHook(new SessionCredentials(account.key(), account.secret()));
    }

    /** Commands keep the client that they were run with: they are made anew, as by a process of its own. */
    private static final class Startup extends MQAdminStartup {
        static List<SubCommand> all() {
            SUB_COMMANDS.clear();
            initCommand();
            return List.copyOf(SUB_COMMANDS);
        }

        static void once(String[] arguments, RPCHook hook) {
            CALLED.add(arguments[0]);
            SUB_COMMANDS.clear();
            main0(arguments, hook);
        }
    }

    /** By the group (the package) of the commands: how many there are, and which of them no case has called. */
    static synchronized void countByGroup() {
        Map<String, Integer> all = new TreeMap<>();
        Map<String, Set<String>> left = new TreeMap<>();
        for (SubCommand command : Startup.all()) {
            String place = command.getClass().getPackageName();
            String group = place.substring(place.lastIndexOf('.') + 1);
            all.merge(group, 1, Integer::sum);
            left.computeIfAbsent(group, none -> new TreeSet<>());
            if (!CALLED.contains(command.commandName())) {
                left.get(group).add(command.commandName());
            }
        }
        all.forEach((group, count) -> Harness.note(group + ": " + (count - left.get(group).size()) + " of " + count
            + " commands called" + (left.get(group).isEmpty() ? "" : "; not " + String.join(", ", left.get(group)))));
        int total = all.values().stream().mapToInt(Integer::intValue).sum();
        int called = total - left.values().stream().mapToInt(Set::size).sum();
        Harness.note("all groups: " + called + " of " + total + " commands called");
    }

    /** What a command printed, exceptions included. The address of the name server is added. */
    static String run(String command, String... options) throws Exception {
        return runFor(PATIENCE_MS, command, options);
    }

    /** The same of a command that would go on for ever, ended after a time. */
    static synchronized String runFor(long millis, String command, String... options) throws Exception {
        return runAs(null, millis, command, options);
    }

    /** Signed with a hook instead of what `tools.yml` says. */
    static synchronized String runAs(RPCHook hook, long millis, String command, String... options) throws Exception {
        List<String> arguments = new ArrayList<>(List.of(command));
        arguments.addAll(List.of("-n", Harness.NAMESRV));
        arguments.addAll(List.of(options));
        return capture(hook, arguments, millis);
    }

    private static String capture(RPCHook hook, List<String> arguments, long patience) throws Exception {
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        PrintStream stream = new PrintStream(printed, true, StandardCharsets.UTF_8);
        PrintStream out = System.out;
        PrintStream err = System.err;
        System.setOut(stream);
        System.setErr(stream);
        try {
            Thread caller = new Thread(() -> Startup.once(arguments.toArray(new String[0]), hook));
            caller.setDaemon(true);
            caller.start();
            caller.join(patience);
            if (caller.isAlive()) {
                caller.interrupt();
                caller.join(PATIENCE_MS);
            }
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
        String text = printed.toString(StandardCharsets.UTF_8);
        LOG.println("mqadmin " + String.join(" ", arguments) + "\n" + text);
        return text;
    }

    /** The output holds each of these. */
    static String holds(String output, String... facts) {
        for (String fact : facts) {
            if (!output.contains(fact)) {
                throw new AssertionError("no `" + fact + "` in: " + output);
            }
        }
        return output;
    }

    /** The output holds none of these. */
    static void lacks(String output, String... facts) {
        for (String fact : facts) {
            if (output.contains(fact)) {
                throw new AssertionError("there is `" + fact + "` in: " + output);
            }
        }
    }

    /** The first match of an expression, or of its first group. */
    static String find(String output, String expression) {
        Matcher matcher = Pattern.compile(expression, Pattern.MULTILINE).matcher(output);
        if (!matcher.find()) {
            throw new AssertionError("nothing like `" + expression + "` in: " + output);
        }
        return matcher.groupCount() > 0 ? matcher.group(1) : matcher.group();
    }

    static int count(String output, String expression) {
        Matcher matcher = Pattern.compile(expression, Pattern.MULTILINE).matcher(output);
        int found = 0;
        while (matcher.find()) {
            found++;
        }
        return found;
    }

    /** A file with this text, for a command that reads one. */
    static String file(String text) throws Exception {
        Path path = Files.createTempFile("mqadmin", ".json");
        Files.writeString(path, text);
        path.toFile().deleteOnExit();
        return path.toString();
    }

    /** Cluster, broker name and address, as the first broker has them. */
    record Place(String cluster, String broker, String address) {
    }

    static Place place() throws Exception {
        String list = run("clusterList");
        String row = find(list, "^\\S+ +\\S+ +0 +\\S+:\\d+.*$");
        String[] words = row.trim().split(" +");
        return new Place(words[0], words[1], words[3]);
    }
}
