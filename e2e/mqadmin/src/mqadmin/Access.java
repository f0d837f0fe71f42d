package mqadmin;

import static kit.Expect.that;
import static mqadmin.Tool.count;
import static mqadmin.Tool.holds;
import static mqadmin.Tool.lacks;
import static mqadmin.Tool.run;

import java.util.List;
import kit.Account;
import kit.Harness;
import org.apache.rocketmq.remoting.RPCHook;

/** Commands on users and policies. */
final class Access {
    private Access() {
    }

    static void addTo(Harness harness) {
        harness.addAlone("mqadmin-users", Access::users)
            .addAlone("mqadmin-policies", Access::policies);
        if (Account.isAsked()) {
            harness.addAlone("mqadmin-refused", Access::refused);
        }
    }

    /** Signed by nobody, with a wrong secret, or by one who may not: nothing is done, and the reason is told. */
    private static void refused() throws Exception {
        Tool.Place place = Tool.place();
        String topic = Harness.unique("topic");
        String[] make = {"-b", place.address(), "-t", topic, "-r", "1", "-w", "1"};
        for (Account stranger : List.of(Account.wrong(), Account.UNKNOWN, Account.DISABLED, Account.GUEST)) {
            RPCHook hook = Tool.hook(stranger);
            holds(Tool.runAs(hook, 30_000, "updateTopic", make), "CODE: 16");
            holds(Tool.runAs(hook, 30_000, "listUser", "-b", place.address()), "CODE: 16");
        }
        lacks(run("topicList"), topic);
        holds(run("updateTopic", make), "success");
        holds(run("topicList"), topic);
    }

    /** createUser, getUser, listUser, updateUser, copyUser, deleteUser. */
    private static void users() throws Exception {
        Tool.Place place = Tool.place();
        String broker = place.address();
        String user = Harness.unique("user");
        holds(run("createUser", "-b", broker, "-u", user, "-p", "first-secret", "-t", "Normal"), "success");
        holds(run("createUser", "-b", broker, "-u", user, "-p", "x"), "The user is existed");
        lacks(holds(run("getUser", "-b", broker, "-u", user), user, "Normal", "enable"), "Super");
        holds(run("updateUser", "-b", broker, "-u", user, "-s", "disable"), "success");
        holds(run("getUser", "-c", place.cluster(), "-u", user), user, "Normal", "disable");
        holds(run("updateUser", "-c", place.cluster(), "-u", user, "-p", "second-secret"), "success");
        holds(run("updateUser", "-b", broker, "-u", user + "-unknown", "-p", "x"), "The user is not exist");
        holds(run("updateUser", "-b", broker, "-u", user, "-t", "Super"), "success");
        holds(run("listUser", "-b", broker), user, "Super");
        holds(run("listUser", "-c", place.cluster(), "-f", user), user, "success");
        lacks(run("listUser", "-b", broker, "-f", "no-such"), user);
        holds(run("copyUser", "-f", broker, "-t", broker, "-u", user), "copy user of " + user, "success");
        holds(run("deleteUser", "-b", broker, "-u", user), "success");
        lacks(run("getUser", "-b", broker, "-u", user), "Super");
        holds(run("deleteUser", "-c", place.cluster(), "-u", user), "success");
    }

    /** createAcl, getAcl, listAcl, updateAcl, copyAcl, deleteAcl. */
    private static void policies() throws Exception {
        Tool.Place place = Tool.place();
        String broker = place.address();
        String user = Harness.unique("user");
        String subject = "User:" + user;
        String both = "Topic:a,Group:b-*";
        holds(run("createAcl", "-b", broker, "-s", subject, "-r", both, "-a", "Pub,Sub", "-d", "Allow"),
            "The subject of " + subject + " is not exist.");
        holds(run("createUser", "-b", broker, "-u", user, "-p", "secret"), "success");
        holds(run("createAcl", "-b", broker, "-s", subject, "-r", both, "-a", "Pub,Sub", "-i", "10.0.0.0/8",
            "-d", "Allow"), "success");
        String shown = holds(run("getAcl", "-b", broker, "-s", subject), subject, "Custom", "Topic:a", "Group:b-*", "Pub",
            "Sub", "10.0.0.0/8", "Allow");
        that("entries in: " + shown, count(shown, "^" + subject) == 2);
        holds(run("updateAcl", "-c", place.cluster(), "-s", subject, "-r", "Topic:a", "-a", "All", "-d", "Deny"),
            "success");
        holds(run("getAcl", "-c", place.cluster(), "-s", subject), "All", "Deny");
        holds(run("createAcl", "-b", broker, "-s", subject, "-r", "Topic:a", "-a", "Pub", "-i", "nowhere", "-d", "Allow"),
            "The source ip is invalid.");
        holds(run("listAcl", "-b", broker, "-s", user), subject, "Topic:a");
        lacks(run("listAcl", "-b", broker, "-r", "Topic:no-such"), subject);
        holds(run("copyAcl", "-f", broker, "-t", broker, "-s", subject), "copy acl of " + subject, "success");
        holds(run("deleteAcl", "-b", broker, "-s", subject, "-r", "Topic:a"), "success");
        lacks(holds(run("getAcl", "-b", broker, "-s", subject), "Group:b-*"), "Topic:a");
        holds(run("deleteAcl", "-c", place.cluster(), "-s", subject), "success");
        lacks(run("getAcl", "-b", broker, "-s", subject), "Group:b-*");
        holds(run("deleteAcl", "-b", broker, "-s", subject), "The acl is not exist.");
        holds(run("deleteUser", "-b", broker, "-u", user), "success");
    }
}
