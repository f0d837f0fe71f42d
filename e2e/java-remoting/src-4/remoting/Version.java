package remoting;

import kit.Harness;

/** The 4.9 client has nothing of its own. */
final class Version {
    private Version() {
    }

    static void addTo(Harness harness) {
    }
}
