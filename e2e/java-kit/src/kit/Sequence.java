package kit;

import java.util.zip.CRC32;

/** A numbered body of the kill loop: `producer sequence checksum`. */
public final class Sequence {
    private Sequence() {
    }

    public static String body(String producer, long sequence) {
        return producer + " " + sequence + " " + checksum(producer, sequence);
    }

    /** Tells the harness what was received. */
    public static void report(String body) {
        String[] parts = body.split(" ");
        boolean whole = parts.length == 3 && body.equals(body(parts[0], Long.parseLong(parts[1])));
        Harness.say(whole ? "CONSUMED " + parts[0] + " " + parts[1] : "CORRUPT " + body.replace('\n', ' '));
    }

    private static String checksum(String producer, long sequence) {
        CRC32 crc = new CRC32();
        crc.update((producer + " " + sequence).getBytes());
        return Long.toHexString(crc.getValue());
    }
}
