package kit;

/** Whom a client signs as. */
public record Account(String key, String secret) {
    /** May send and receive, but where the name begins with `closed`. */
    private static final Account OWN = System.getenv("ACCESS_KEY") == null
        ? null : new Account(System.getenv("ACCESS_KEY"), System.getenv("SECRET_KEY"));
    /** Has no right to anything. */
    public static final Account GUEST = new Account("guest", "guest-secret");
    /** Had rights, and is disabled. */
    public static final Account DISABLED = new Account("disabled", "disabled-secret");
    public static final Account UNKNOWN = new Account("nobody", "nobody-secret");

    /** The one that this program was given; none where the server asks nobody who they are. */
    public static Account own() {
        return OWN;
    }

    /** Only then refusals can be seen. */
    public static boolean isAsked() {
        return OWN != null;
    }

    public static Account wrong() {
        return new Account(OWN.key(), "not its secret");
    }
}
