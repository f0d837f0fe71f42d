package load;

import java.nio.ByteBuffer;
import java.util.concurrent.ThreadLocalRandom;

/** Bodies that do not compress away, the first four bytes a number. */
public final class Bodies {
    private Bodies() {
    }

    public static byte[] numbered(int number, int size) {
        byte[] body = new byte[size];
        ThreadLocalRandom.current().nextBytes(body);
        ByteBuffer.wrap(body).putInt(0, number);
        return body;
    }

    public static byte[] any(int size) {
        return numbered(0, size);
    }

    public static int number(byte[] body) {
        return number(ByteBuffer.wrap(body));
    }

    public static int number(ByteBuffer body) {
        return body.getInt(body.position());
    }
}
