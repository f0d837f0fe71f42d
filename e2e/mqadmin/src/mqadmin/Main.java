package mqadmin;

import kit.Harness;

/** The commands of `mqadmin` 5.5.0, by their groups. */
public final class Main {
    private Main() {
    }

    public static void main(String[] arguments) throws Exception {
        Tool.signIn();
        Harness harness = new Harness();
        Topics.addTo(harness);
        Groups.addTo(harness);
        Messages.addTo(harness);
        Brokers.addTo(harness);
        Access.addTo(harness);
        Lite.addTo(harness);
        Dashboard.addTo(harness);
        harness.addAlone("mqadmin-counts", Tool::countByGroup);
        harness.run();
    }
}
